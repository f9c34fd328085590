"""What can be asked of the service: a folder for each subject, a file for each action, and in it the transaction."""
