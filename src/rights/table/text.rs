//! The rights table as text: every right under every regime, with what it rests on. A golden file holds it.

use super::RightsTable;
use crate::policy::rules::Citation;
use crate::rights::clock::Span;
use crate::rights::plan::{Asked, Extension, Plan};
use crate::terms::{ActingAs, ProofLevel, ProofMethod, Regime, Right};
use std::fmt::Write as _;

impl RightsTable {
    /// The table as text: every right under every regime, merged as [`RightsTable::plan`] merges it, with the rows and
    /// citations that it rests on.
    pub fn text(&self) -> String {
        let mut out = format!("version {}\ndigest  {}\n\nregimes\n", self.version(), self.digest());
        for holds in &self.written.holds {
            let places: Vec<String> = holds.places.iter().map(ToString::to_string).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n{}: {}\n  {}", holds.regime, places.join(" "), holds.why);
            cite(&mut out, &holds.cite);
        }
        for right in Right::ALL {
            for regime in Regime::ALL {
                self.block(&mut out, *right, *regime);
            }
        }
        out
    }

    fn block(&self, out: &mut String, right: Right, regime: Regime) {
        let plan = |acting_as, account| self.plan(&Asked { right, regime, acting_as, account });
        let (with, without) = (plan(ActingAs::Myself, true), plan(ActingAs::Myself, false));
        let _ = writeln!(out, "\n{right} under {regime}: {}", list(&with.rows));
        let _ = writeln!(out, "  answer       {}", spans(&with.answer));
        let _ = writeln!(out, "  acknowledge  {}", spans(&with.acknowledge));
        let _ = writeln!(out, "  extension    {}", with.extension.as_ref().map_or_else(none, extension));
        let _ = writeln!(out, "  refusals     {}", list(&with.refusals));
        if with.level == ProofLevel::L0 {
            let _ = writeln!(out, "  proof        {}; never ask {}", asks(&with), list(&with.never_ask));
        } else {
            for (who, plan) in [
                ("account", with),
                ("no account", without.clone()),
                ("guardian", plan(ActingAs::Guardian, false)),
                ("agent", plan(ActingAs::Agent, false)),
            ] {
                let _ = writeln!(out, "  {who:<12} {}", asks(&plan));
                let _ = writeln!(out, "  {:<12} never ask {}", "", list(&plan.never_ask));
            }
        }
        cite(out, &without.citations);
    }
}

fn asks(plan: &Plan) -> String {
    let fresh = if plan.fresh_session && plan.may_ask.contains(&ProofMethod::Session) { ", fresh session" } else { "" };
    let card = plan.id_document;
    format!("{}{fresh}; identity card {card}; may ask {}", plan.level, list(&plan.may_ask))
}

fn cite(out: &mut String, citations: &[Citation]) {
    for c in citations {
        let _ = writeln!(out, "  [{:?}] {}; in force {}; source {}", c.mark, c.text, c.in_force, c.source);
    }
}

fn none() -> String {
    String::from("none")
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return none();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn extension(extension: &Extension) -> String {
    let times = if extension.times == 1 { String::from("once") } else { format!("{} times", extension.times) };
    format!("{times} by {}, for {}", span(extension.by), list(&extension.reasons))
}

fn spans(spans: &[Span]) -> String {
    let named: Vec<String> = spans.iter().map(|length| span(*length)).collect();
    match named.as_slice() {
        [] => none(),
        [one] => one.clone(),
        more => format!("the earliest of {}", more.join(", ")),
    }
}

fn span(span: Span) -> String {
    let counted = |count: u16, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match span {
        Span::Days(days) => counted(days, "day"),
        Span::BusinessDays(days) => counted(days, "business day"),
        Span::Months(months) => counted(months.into(), "month"),
    }
}
