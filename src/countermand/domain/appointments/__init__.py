"""Appointments, which are technicians' visits, and the tasks about them."""
