"""Makes the secrets of endpoints, and encrypts them for the database."""

from countermand.actions.errors import ConflictError
from countermand.delivery.secret_box import SecretBox, UnreadableSecretError
from countermand.delivery.signing import new_secret, new_signing_key, public_key_of


class BoxedSecrets:
    """Implements `SecretMaking`."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def new_secret(self) -> tuple[str, bytes]:
        """See `SecretMaking.new_secret`."""
        made = new_secret()
        return made, self._box.encrypt(made.encode())

    def new_signing_key(self) -> tuple[str, bytes]:
        """See `SecretMaking.new_signing_key`."""
        made = new_signing_key()
        return public_key_of(made), self._box.encrypt(made.encode())

    def public_key(self, signing_key: bytes) -> str:
        """See `SecretMaking.public_key`."""
        try:
            return public_key_of(self._box.decrypt(signing_key).decode())
        except UnreadableSecretError:
            raise ConflictError(
                "webhook_secret_unreadable",
                "no key of this node decrypts the signing key of this endpoint; nothing was changed; add the key that "
                "encrypted it after the present one in COUNTERMAND_WEBHOOK_SECRET_KEY, or add the endpoint again",
            ) from None
