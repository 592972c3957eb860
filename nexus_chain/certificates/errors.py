"""What can go wrong while a certificate is audited.

CertificateError
└── audit.AuditStepError   a step of an audit that failed
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class CertificateError(NexusError):
    """Root of this package's errors."""
