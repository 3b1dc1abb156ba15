//! Whose turn it is: a bounded queue that is fair by relying party. Pure: it has no clock and no threads.
//!
//! Turns are given by start-time fair queueing. Each party has an account of the time that was spent on it, divided by
//! its weight; the party with the smallest account goes next, and among equals who came first. A turn is charged with an
//! estimate when it begins and with what it took when it ends, so a party whose pictures take long gets fewer of them. A
//! party that had nothing waiting saves up no turns.
//!
//! Places are bounded, and the bound is shared as turns are: when none is free, a party that has less than its share
//! takes one from the party that has the most for its weight. That one loses its youngest place, which was farthest from
//! its turn. As long as nobody else wants them, one party may have all places.

use crate::terms::RelyingParty;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

/// How many shares a relying party gets; who is not named gets one.
pub type Weights = BTreeMap<RelyingParty, NonZeroU8>;

/// Accounts are kept in microseconds, times this, by weight.
const SCALE: u128 = 1 << 16;

/// One place. Greater ones are younger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Every place is taken, and nobody has so much more than this party that it would have to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What one party has.
struct Party<J> {
    weight: u128,
    /// The time spent on it, scaled, by weight: when its next turn is due.
    spent: u128,
    /// Places whose picture is not there yet.
    held: BTreeSet<Ticket>,
    waiting: BTreeMap<Ticket, J>,
    running: usize,
}

impl<J> Party<J> {
    fn new(weight: u128, spent: u128) -> Self {
        Self { weight, spent, held: BTreeSet::new(), waiting: BTreeMap::new(), running: 0 }
    }

    fn coming(&self) -> usize {
        self.held.len() + self.waiting.len()
    }

    fn places(&self) -> usize {
        self.coming() + self.running
    }

    fn cost(&self, micros: u64) -> u128 {
        u128::from(micros) * SCALE / self.weight
    }

    fn youngest(&self) -> Option<Ticket> {
        self.held.last().max(self.waiting.keys().last()).copied()
    }
}

/// The queue. `J` is what waits.
pub struct Fair<J> {
    places: usize,
    taken: usize,
    weights: Weights,
    parties: BTreeMap<RelyingParty, Party<J>>,
    /// When the latest turn was due. Who comes anew starts from here.
    now: u128,
    tickets: u64,
}

impl<J> Fair<J> {
    /// An empty queue with so many places.
    pub fn new(places: usize, weights: Weights) -> Self {
        Self { places, taken: 0, weights, parties: BTreeMap::new(), now: 0, tickets: 0 }
    }

    /// Whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.taken >= self.places
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.parties.values().map(|party| party.waiting.len()).sum()
    }

    /// How many have their turn.
    pub fn running(&self) -> usize {
        self.parties.values().map(|party| party.running).sum()
    }

    /// Whether [`Self::admit`] would give the party a place.
    pub fn admits(&self, name: &RelyingParty) -> bool {
        !self.is_full() || self.gives_way(name).is_some()
    }

    /// Takes a place. If another one was lost for it, what waited there is handed out.
    pub fn admit(&mut self, name: &RelyingParty) -> Result<(Ticket, Option<J>), Full> {
        let displaced = match self.is_full() {
            false => None,
            true => {
                let loser = self.gives_way(name).ok_or(Full)?.clone();
                self.displace(&loser)
            }
        };
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.taken += 1;
        let (weight, now) = (self.weight(name), self.now);
        let party = self.parties.entry(name.clone()).or_insert_with(|| Party::new(weight, now));
        party.held.insert(ticket);
        Ok((ticket, displaced))
    }

    /// Lets a place wait for its turn. Hands the job back if the place was lost in the meantime.
    pub fn wait(&mut self, name: &RelyingParty, ticket: Ticket, job: J) -> Result<(), J> {
        let now = self.now;
        let Some(party) = self.parties.get_mut(name) else { return Err(job) };
        if !party.held.remove(&ticket) {
            return Err(job);
        }
        if party.waiting.is_empty() {
            party.spent = party.spent.max(now);
        }
        party.waiting.insert(ticket, job);
        Ok(())
    }

    /// Gives a place back whose picture never came.
    pub fn give_back(&mut self, name: &RelyingParty, ticket: Ticket) {
        if self.parties.get_mut(name).is_some_and(|party| party.held.remove(&ticket)) {
            self.taken -= 1;
            self.forget(name);
        }
    }

    /// Begins the next turn, which is likely to take so many microseconds.
    pub fn next(&mut self, estimate: u64) -> Option<(RelyingParty, J)> {
        let waiting = self.parties.iter_mut().filter_map(|(name, party)| {
            let first = *party.waiting.keys().next()?;
            Some((party.spent, first, name, party))
        });
        let (spent, _, name, party) = waiting.min_by_key(|(spent, first, ..)| (*spent, *first))?;
        let (_, job) = party.waiting.pop_first()?;
        party.running += 1;
        party.spent += party.cost(estimate);
        self.now = self.now.max(spent);
        Some((name.clone(), job))
    }

    /// Ends a turn that was thought to take `estimate` and took `actual` microseconds.
    pub fn done(&mut self, name: &RelyingParty, estimate: u64, actual: u64) {
        if let Some(party) = self.parties.get_mut(name).filter(|party| party.running > 0) {
            party.running -= 1;
            party.spent = party.spent.saturating_sub(party.cost(estimate)) + party.cost(actual);
            self.taken -= 1;
            self.forget(name);
        }
    }

    /// Takes out what waits in vain.
    pub fn purge(&mut self, in_vain: impl Fn(&J) -> bool) -> Vec<J> {
        let mut out = Vec::new();
        for party in self.parties.values_mut() {
            let tickets: Vec<Ticket> =
                party.waiting.iter().filter(|(_, job)| in_vain(job)).map(|(at, _)| *at).collect();
            out.extend(tickets.iter().filter_map(|ticket| party.waiting.remove(ticket)));
        }
        self.taken -= out.len();
        let now = self.now;
        self.parties.retain(|_, party| party.places() > 0 || party.spent > now);
        out
    }

    /// How many turns come before that of a place that the party would take now, as far as is known now. `estimate` is
    /// what a turn is likely to take.
    pub fn ahead(&self, name: &RelyingParty, estimate: u64) -> usize {
        let estimate = estimate.max(1);
        let (own, spent, weight) = match self.parties.get(name) {
            Some(party) => (party.coming(), party.spent.max(self.now), party.weight),
            None => (0, self.now, self.weight(name)),
        };
        let due = spent + u128::try_from(own).unwrap_or(u128::MAX) * (u128::from(estimate) * SCALE / weight);
        let others = self.parties.iter().filter(|(other, _)| *other != name).map(|(_, party)| {
            let before =
                due.checked_sub(party.spent.max(self.now)).map_or(0, |gap| gap / party.cost(estimate).max(1) + 1);
            party.coming().min(usize::try_from(before).unwrap_or(usize::MAX))
        });
        own + others.sum::<usize>()
    }

    fn weight(&self, name: &RelyingParty) -> u128 {
        self.weights.get(name).map_or(1, |weight| u128::from(weight.get()))
    }

    /// Who has to make room for one more place of this party: whoever has the most for its weight, if it has no less
    /// than the party has even after that.
    fn gives_way(&self, name: &RelyingParty) -> Option<&RelyingParty> {
        let size = |count: usize| u128::try_from(count).unwrap_or(u128::MAX);
        let (own, weight) = (self.parties.get(name).map_or(0, Party::places), self.weight(name));
        let movable = self.parties.iter().filter(|(other, party)| *other != name && party.coming() > 0);
        // Among equals the one whose youngest place is youngest.
        let most = movable.max_by_key(|(_, party)| (size(party.places()) * SCALE / party.weight, party.youngest()));
        let (loser, has) = most?;
        (size(has.places() - 1) * weight >= size(own + 1) * has.weight).then_some(loser)
    }

    /// Takes the youngest place of a party.
    fn displace(&mut self, name: &RelyingParty) -> Option<J> {
        let party = self.parties.get_mut(name)?;
        let ticket = party.youngest()?;
        self.taken -= 1;
        // A place without a picture is told when the picture comes.
        let job = if party.held.remove(&ticket) { None } else { party.waiting.remove(&ticket) };
        self.forget(name);
        job
    }

    /// Forgets a party that has nothing here and no turn to wait for; all of them once nothing is here at all.
    fn forget(&mut self, name: &RelyingParty) {
        if self.is_empty() {
            self.parties.clear();
            self.now = 0;
        } else if self.parties.get(name).is_some_and(|party| party.places() == 0 && party.spent <= self.now) {
            self.parties.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
