//! Reading single fields off a document, for callers that may have them. Nothing is decided, and nothing that was read
//! is kept: the audit entry names the fields, never what they said.

use super::{App, Call, Error, Picture, unexpected};
pub use crate::audit::Field;
use crate::audit::{DocumentRead, Entry};
use crate::evidence::validate::Verdict;
use crate::secret::Sensitive;
use crate::store::Batch;
use crate::terms::{AssuranceLevel, DocumentKind, Jurisdiction, Purpose, Reason, Signal, SubjectRef};
use jiff::civil::Date;

/// The fields that are asked for, each at most once.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Asks for one more.
    pub fn add(&mut self, field: Field) {
        if !self.has(field) {
            self.0.push(field);
        }
    }

    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, field: Field) -> bool {
        self.0.contains(&field)
    }
}

/// What is asked.
pub struct ReadAsk {
    /// Whose document, by the relying party's own name for them. Counted, not kept.
    pub subject: SubjectRef,
    /// A picture of it.
    pub image: Picture,
    /// What is wanted of it.
    pub fields: Fields,
}

/// What was read: of the fields, those that were asked for and found.
pub enum ReadAnswer {
    /// A date of birth was accepted.
    Read {
        /// The date of birth, `YYYY-MM-DD`.
        date_of_birth: Option<Sensitive<String>>,
        /// The kind of document.
        document_kind: Option<DocumentKind>,
        /// The date of expiry.
        expiry: Option<Date>,
        /// How well the date of birth is witnessed.
        assurance: Option<AssuranceLevel>,
        /// Remarks about the document.
        signals: Vec<Signal>,
    },
    /// No date of birth was accepted.
    Unreadable {
        /// Why.
        reasons: Vec<Reason>,
        /// Remarks about the document.
        signals: Vec<Signal>,
    },
}

impl App {
    /// Reads a document. The caller's right to ask was checked before.
    pub async fn read_document(&self, ask: ReadAsk, call: Call) -> Result<ReadAnswer, Error> {
        let received_at = ask.image.received_at();
        let place = self.pool.admit(&call.relying_party, call.deadline)?;
        self.count_attempt(&call.relying_party, &ask.subject, received_at).await?;
        let today = self.rules.rule(Jurisdiction::UNKNOWN, Purpose::DobExtraction).today_for_expiry(received_at);
        let waits = (call.deadline, call.watch.clone());
        let read = self.pool.read(place, ask.image, today, self.image_bytes, waits).await?;
        self.observe(&read);
        let life = self.life_of(received_at, &read.verdict);
        let disposed_at = life.disposed_at;

        let text = uuid::Uuid::now_v7();
        let partition = self.handles.partition(&call.relying_party, &text.to_string());
        let mut entry = DocumentRead {
            at: disposed_at,
            decision_id: partition.stamp(text),
            relying_party: call.relying_party,
            fields: Vec::new(),
            document: None,
            assurance: None,
            reasons: Vec::new(),
            image: Some(life),
        };
        let answer = match read.verdict {
            Verdict::Read(evidence) => {
                let asked = |field| ask.fields.has(field);
                entry.document = Some(evidence.kind);
                entry.assurance = Some(evidence.assurance);
                entry.fields.clone_from(&ask.fields.0);
                ReadAnswer::Read {
                    document_kind: asked(Field::DocumentKind).then_some(evidence.kind),
                    expiry: evidence.expiry.filter(|_| asked(Field::Expiry)),
                    assurance: asked(Field::Assurance).then_some(evidence.assurance),
                    signals: evidence.signals,
                    date_of_birth: asked(Field::DateOfBirth)
                        .then(|| Sensitive::new(evidence.birth.expose().to_string())),
                }
            }
            Verdict::Unreadable(why) => {
                entry.document = why.kind;
                entry.reasons.clone_from(&why.reasons);
                ReadAnswer::Unreadable { reasons: why.reasons, signals: why.signals }
            }
        };
        let batch = Batch::new(partition).record(Entry::DocumentRead(Box::new(entry)));
        self.store.commit(batch, disposed_at).await.map_err(unexpected)?;
        Ok(answer)
    }
}
