"""Keys of certificates for servers that a test builds itself."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from headrace.auth.certificate_keys import FILE, CertificateKeys
from headrace.clock import Clock, Ids


def keys_of_test(clock: Clock, ids: Ids) -> CertificateKeys:
    """Keys in a temporary file of this process, which is made when the first certificate is."""
    return CertificateKeys(Path(tempfile.gettempdir()) / f"headrace-test-{os.getpid()}-{FILE}", clock.now_at, ids.new)
