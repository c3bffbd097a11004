//! What a plan tells of its inputs: the conditions that become alerts, with ids that stay the same for one condition.

use crate::fits::CARD_BYTES;
use crate::fits::card::Card;
use crate::fits::fault::CardFault;
use crate::fits::header::Header;
use crate::merge::input::InputDescription;
use crate::merge::keywords::Contribution;
use crate::merge::keywords::MergedKeyword;
use crate::merge::plan::{Builder, irregular};
use crate::merge::report::Notice;
use crate::status::Severity;

impl Builder<'_> {
    pub(in crate::merge::plan) fn notice_resized(&mut self, before: u64, after: u64) {
        if after > before {
            self.notices.push(Notice {
                id: "PrimaryHduResized".to_owned(),
                severity: Severity::Info,
                description: format!(
                    "the primary header of the in-place target grew from {before} to {after} bytes: reserve {} more \
                     blank cards before END to keep its data where it is",
                    (after - before) as usize / CARD_BYTES
                ),
            });
        }
    }

    pub(in crate::merge::plan) fn notice_unmerged(&mut self, description: &InputDescription, is_image: bool) {
        let id = self.unique_notice_id("UnmergedData", &description.label);
        let remedy = match is_image {
            true => "set \"primaryData\": \"asExtension\" to keep them or \"alertUnmergeable\": false to silence this",
            false => {
                "data in groups (PCOUNT, GCOUNT) cannot become an extension: convert the file to keep them, or set \
                 \"alertUnmergeable\": false to silence this"
            }
        };
        self.notices.push(Notice {
            id,
            severity: Severity::Warning,
            description: format!(
                "the primary HDU of {} (source '{}') holds {} bytes of data that are not merged: {remedy}",
                description.path.display(),
                description.label,
                description.primary.structure.data_bytes
            ),
        });
    }

    /// Tells of keywords that the specification itself gives more than once in one source: hardly on purpose.
    pub(in crate::merge::plan) fn notice_repeated(&mut self, contribution: &Contribution) {
        let repeated = irregular::repeated_keywords(&contribution.records);
        let Some(first) = repeated.first() else { return };
        let more = match repeated.len() {
            1 => String::new(),
            count => format!(" (and {} more keywords)", count - 1),
        };
        let id = self.unique_notice_id("RepeatedKeyword", &contribution.label);
        let description = format!(
            "source '{}' of the specification gives {first}{more} more than once, and the first counts: remove the others",
            contribution.label
        );
        self.notices.push(Notice { id, severity: Severity::Warning, description });
    }

    /// Tells of cards that are copied as they are although no FITS reader needs to understand them; an in-place
    /// target's stand in `structure` too.
    pub(in crate::merge::plan) fn notice_illegal(&mut self, structure: &Header, merged: &[MergedKeyword]) {
        let mut faults: Vec<Vec<CardFault>> = vec![Vec::new(); self.contribution_labels.len()];
        if self.has_target
            && let Some(own) = faults.last_mut()
        {
            own.extend(structure.records().iter().flat_map(|record| &record.cards).filter_map(Card::fault));
        }
        for keyword in merged {
            faults[keyword.origin].extend(keyword.record.cards.iter().filter_map(Card::fault));
        }
        for (origin, faults) in faults.iter().enumerate() {
            let Some(first) = faults.first() else { continue };
            let label = &self.contribution_labels[origin];
            let id = self.unique_notice_id("IllegalCards", label);
            let count = match faults.len() {
                1 => "1 card is".to_owned(),
                count => format!("{count} cards are"),
            };
            // The cards of a target are kept without rules.
            let is_ruled = origin < self.specification.sources.len();
            let remedy = if is_ruled { ", or leave them out by its keywordRules" } else { "" };
            let description = format!(
                "in the primary header of source '{label}' {count} neither legal FITS nor a usual HIERARCH card, and copied \
                 unchanged, the first: {first}: mend the source{remedy}"
            );
            self.notices.push(Notice { id, severity: Severity::Warning, description });
        }
    }

    pub(in crate::merge::plan) fn notice_illegal_hdu(&mut self, input: usize, hdu: usize, fault: &str) {
        let description = &self.inputs[input];
        let label = &description.label;
        let place = if hdu == 0 { label.clone() } else { format!("{label}:{hdu}") };
        let id = self.unique_notice_id("IllegalCards", &place);
        let description = format!(
            "HDU {hdu} of {} (source '{}') {fault}: mend the source",
            description.path.display(),
            description.label
        );
        self.notices.push(Notice { id, severity: Severity::Warning, description });
    }

    pub(in crate::merge::plan) fn notice_tail(&mut self, description: &InputDescription) {
        let tail = &description.tail;
        let what = match (tail.missing_padding, tail.trailing_bytes) {
            (0, 0) if description.gzip_padding > 0 => {
                format!("has {} zeros after its gzip data; they are passed over", description.gzip_padding)
            }
            (0, 0) => return,
            (0, trailing) => format!("has {trailing} bytes after its last HDU; they are not merged"),
            (missing, _) => format!("lacks {missing} bytes of padding after its last HDU; they are added"),
        };
        let id = self.unique_notice_id("IrregularFile", &description.label);
        self.notices.push(Notice {
            id,
            severity: Severity::Warning,
            description: format!(
                "{} (source '{}') {what}: check that its producer closed it",
                description.path.display(),
                description.label
            ),
        });
    }

    pub(in crate::merge::plan) fn unique_notice_id(&self, kind: &str, label: &str) -> String {
        let first = format!("{kind}:{label}");
        let mut id = first.clone();
        let mut count = 2;
        while self.notices.has(&id) {
            id = format!("{first}#{count}");
            count += 1;
        }
        id
    }
}
