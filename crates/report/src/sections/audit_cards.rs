//! Cards of the images that the audit shows.

use super::material::Material;
use crate::audit::{Audit, Finding, Kind, Suggestion};
use crate::document::Drawing;
use crate::figure::{AuditCard, Beside};
use train::audit::evidence::ImageEvidence;

/// Likely wrong labels shown.
const WRONG_LABELS: usize = 8;
/// Shown of every other finding.
const OTHERS: usize = 4;

/// Every image that the audit's section shows, some of them more than once.
pub(crate) fn shown_images(audit: &Audit) -> impl Iterator<Item = &ImageEvidence> {
    let rows = Kind::ALL
        .into_iter()
        .flat_map(|kind| shown(audit, kind))
        .flat_map(|finding| std::iter::once(finding.row).chain(finding.beside.iter().copied().take(AuditCard::BESIDE)));
    rows.map(|row| &audit.evidence.images[row])
}

/// The findings of a kind that are shown, the worst first.
pub(super) fn shown(audit: &Audit, kind: Kind) -> impl Iterator<Item = &Finding> {
    audit.of_kind(kind).take(if kind == Kind::WrongLabel { WRONG_LABELS } else { OTHERS })
}

/// The cards of one kind of findings.
pub(super) fn drawings(material: &Material, audit: &Audit, kind: Kind) -> Vec<Drawing> {
    let drawing = |(number, finding): (usize, &Finding)| Drawing {
        name: format!("audit-{kind}-{}", number + 1),
        figure: Box::new(card(material, audit, finding)),
        caption: format!("{}: {}.", audit.evidence.images[finding.row].path, finding.evidence),
    };
    shown(audit, kind).enumerate().map(drawing).collect()
}

fn card(material: &Material, audit: &Audit, finding: &Finding) -> AuditCard {
    let (images, classes) = (&audit.evidence.images, &audit.evidence.record.classes);
    let image = &images[finding.row];
    let beside = |row: usize| {
        let other = &images[row];
        let label = &classes[other.label];
        let caption =
            if finding.kind == Kind::Leak { format!("{}: {label}", other.split.name()) } else { label.clone() };
        Beside { path: other.path.clone(), picture: material.pictures.get(&other.path).cloned(), caption }
    };
    let label = &classes[image.label];
    let title = match finding.suggestion {
        Suggestion::Relabel(class) if finding.kind == Kind::Duplicate => {
            format!("labelled {label}, a copy {}", classes[class])
        }
        Suggestion::Relabel(class) => format!("labelled {label}, likely {}", classes[class]),
        Suggestion::Drop if finding.kind == Kind::Leak => format!("{}: {label}", image.split.name()),
        Suggestion::Drop | Suggestion::Look => format!("labelled {label}"),
    };
    let heading = match finding.kind {
        Kind::Duplicate | Kind::Leak => "the same picture",
        Kind::WrongLabel | Kind::Unusable | Kind::Outlier => "nearest images",
    };
    AuditCard {
        path: image.path.clone(),
        picture: material.pictures.get(&image.path).cloned(),
        title,
        heading: heading.into(),
        beside: finding.beside.iter().take(AuditCard::BESIDE).map(|&row| beside(row)).collect(),
    }
}
