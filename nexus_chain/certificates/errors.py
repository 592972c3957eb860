"""What can go wrong while a version is certified, or a certificate audited.

CertificateError
├── DistillationRecordError              what a distillation hands over does not fit together
├── EvaluationSetError                   problems that a model cannot be asked
├── AuditPolicyError                     a sound certificate that is not what the auditor demands
├── ModelSignatureError                  an OpenSSF signature that cannot be made, or does not hold
├── BillOfMaterialsError                 an ML-BOM that its own schema refuses
├── ForeignCertificateError              a document that is not what the chain anchors for a version
└── audit_evidence.AuditStepError        a step of an audit that failed
"""

from __future__ import annotations

from nexus_chain.errors import NexusError


class CertificateError(NexusError):
    """Root of this package's errors."""


class DistillationRecordError(CertificateError):
    """Raised where a distillation's files or figures contradict each other before they are certified."""


class EvaluationSetError(CertificateError):
    """Raised for a problem that does not fit the model's context."""


class AuditPolicyError(CertificateError):
    """Raised where a certificate holds, but is not what the auditor demands."""


class ModelSignatureError(CertificateError):
    """Raised where a model folder cannot be signed, or is not what its signature says."""


class BillOfMaterialsError(CertificateError):
    """Raised for a bill of materials that the schema of CycloneDX refuses."""


class ForeignCertificateError(CertificateError):
    """Raised for a certificate that is not the anchored one, not its publisher's, or about another version."""
