//! From a plan's change to a command on the wire, its answer, its one retry and its proof.

use super::FleetDriver;
use super::machine::{Bar, CohortState, Command, Ending, Kind, Profile, Reading, Stage, Want};
use super::poll::UNMEASURED;
use super::wire::Queue;
use crate::cgminer::{WORDS_MAX, words};
use crate::family::{self, Goal, Rival, Turn};
use crate::{Failure, Output};
use headgate_core::fleet::{Answer, Declared, Level, Link, TargetPhase};
use headgate_core::plan::{Change, DispatchPlan};
use headgate_core::time::Span;

/// Tries of one command beyond the first; choosing another machine is the core's.
const RETRIES: u8 = 1;

impl FleetDriver {
    /// Takes in a plan; changes of machines that are not ours are ignored.
    pub(super) fn plan(&mut self, plan: &DispatchPlan, out: &mut Output) {
        for change in &plan.changes {
            if let Some(m) = self.local(change.machine) {
                self.change(m, change, plan, out);
            }
        }
    }

    fn change(&mut self, m: u32, change: &Change, plan: &DispatchPlan, out: &mut Output) {
        let machine = &self.machines[m as usize];
        if plan.generation == machine.generation {
            return;
        }
        let cohort = &self.cohorts[usize::from(machine.kind)];
        let refusal = if machine.excluded {
            Some("excluded: in repair, never commanded")
        } else if plan.generation < machine.generation {
            Some("an older plan came after a newer one")
        } else if !cohort.has(change.level) {
            Some("the plan names a level this machine does not have")
        } else if !self.family.can().trim
            && change.level != Level::SLEEP
            && change.level != cohort.default
        {
            Some("its firmware knows no level between sleep and its default")
        } else {
            None
        };
        if let Some(why) = refusal {
            return self.because(m, why);
        }
        let machine = &mut self.machines[m as usize];
        let was_at_rest = machine.at_rest();
        machine.generation = plan.generation;
        let want = Want {
            level: change.level,
            generation: plan.generation,
            valid_until: plan.valid_until,
        };
        self.wants += usize::from(machine.want.replace(want).is_none());
        self.counts.open += u64::from(was_at_rest);
        self.set_phase(m, TargetPhase::Pending);
        self.make_way(m, out);
    }

    /// Ends what stands in the way of a newer target, as far as it can be ended now.
    fn make_way(&mut self, m: u32, out: &mut Output) {
        let machine = &mut self.machines[m as usize];
        let on_wire =
            machine.wire.is_some_and(|w| matches!(w.kind, Kind::Command | Kind::GiveBack));
        // The newer target is looked at when what was taken is given back.
        if machine.command.as_ref().is_some_and(|c| c.talk.restores()) {
            return;
        }
        match machine.stage() {
            Some(Stage::Proving) => self.supersede(m),
            // Its reply is on the way: the newer target is looked at when it has come.
            Some(_) if on_wire => return,
            Some(stage) => {
                self.end_talk(m);
                if self.machines[m as usize].command.as_ref().is_some_and(|c| c.counted) {
                    self.count_ending(match stage {
                        Stage::Verifying => Ending::Unconfirmed,
                        _ => Ending::Answer(Answer::TimedOut),
                    });
                }
                self.supersede(m);
            }
            None => {}
        }
        if self.machines[m as usize].reading == Reading::Nothing {
            self.abandon_poll(m, out);
            self.line_up(m);
        }
    }

    /// Drops the command under way for a newer target. Its answer is in the counts already.
    fn supersede(&mut self, m: u32) {
        let Some(command) = self.machines[m as usize].command.take() else { return };
        self.counts.superseded += u64::from(command.counted);
        self.leave_stage(&command);
        self.set_due(m, None);
    }

    fn leave_stage(&mut self, command: &Command) {
        match command.stage {
            Stage::Talking | Stage::Pausing | Stage::Verifying => self.talking -= 1,
            Stage::Proving => self.falling -= usize::from(command.fall),
        }
    }

    /// Queues a machine that has something to be told.
    pub(super) fn line_up(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        let talking = machine.stage() == Some(Stage::Talking);
        let begins = machine.command.is_none() && machine.want.is_some();
        if machine.reading == Reading::Nothing && (talking || begins) {
            let queue = if machine.suspect() { Queue::Suspect } else { Queue::Fresh };
            self.enqueue(m, queue);
        }
    }

    /// Says what is to be said to a machine whose turn it is.
    pub(super) fn speak(&mut self, m: u32, out: &mut Output) {
        if self.machines[m as usize].reading != Reading::Nothing {
            return;
        }
        self.abandon_poll(m, out);
        let machine = &self.machines[m as usize];
        if machine.wire.is_some() || (machine.command.is_none() && !self.begin(m)) {
            return;
        }
        if self.machines[m as usize].stage() == Some(Stage::Talking) {
            self.say(m, out);
        }
    }

    /// Makes the want the command; false when there is none or its lease has run out.
    fn begin(&mut self, m: u32) -> bool {
        let Some(want) = self.machines[m as usize].want else { return false };
        if self.now >= want.valid_until {
            self.lapse(m, want);
            return false;
        }
        let goal = self.goal(m, want.level);
        let machine = &mut self.machines[m as usize];
        machine.want = None;
        let talk = self.family.begin(family::Want::Do(goal), machine.keep.take());
        machine.command = Some(Box::new(Command {
            level: want.level,
            generation: want.generation,
            valid_until: want.valid_until,
            talk,
            stage: Stage::Talking,
            tries: 0,
            verified: false,
            counted: false,
            ending: Ending::Answer(Answer::TimedOut),
            fall: false,
            polled: false,
            heard: false,
            ends: self.now,
        }));
        self.wants -= 1;
        self.talking += 1;
        true
    }

    /// Lets go of a target that was never put on the wire.
    fn lapse(&mut self, m: u32, want: Want) {
        let machine = &mut self.machines[m as usize];
        machine.want = None;
        let open = machine.command.is_some();
        self.wants -= 1;
        self.counts.open -= u64::from(!open);
        self.lapsed(m, want.level);
    }

    /// The engine takes the target as given, so it must hear that it was not; only watts that
    /// agree with that very target may still make it so.
    fn lapsed(&mut self, m: u32, level: Level) {
        let machine = &mut self.machines[m as usize];
        let cohort = &self.cohorts[usize::from(machine.kind)];
        machine.target = Some(level);
        machine.bar = bar(cohort, machine.watts, level);
        let logoff = machine.holds();
        self.because(m, "its lease ran out before it could be told");
        self.set_phase(m, TargetPhase::Unavailable);
        if logoff {
            self.enqueue(m, Queue::GiveBack);
        }
    }

    /// What a level asks of a machine as far as its state is known.
    fn goal(&self, m: u32, level: Level) -> Goal {
        if level == Level::SLEEP {
            return Goal::Sleep;
        }
        let machine = &self.machines[m as usize];
        let cohort = &self.cohorts[usize::from(machine.kind)];
        let runs = machine.watts.is_some_and(|w| !cohort.asleep(w));
        let told_to_run = machine.told.is_none_or(|(l, _, _)| l > Level::SLEEP);
        let says_so = machine.declared.is_none_or(|(d, _)| d == Declared::Awake);
        // In doubt it is woken: a machine that is awake already says so, and that is success.
        let wake = !(runs && told_to_run && says_so);
        let set = machine.profile.unwrap_or(Profile::Of(cohort.default)) == Profile::Of(level);
        // Changing the profile of a running machine is all there is to say, known or not.
        let power = (!wake || !set).then(|| cohort.power_at(level));
        let power = power.filter(|_| self.family.can().trim);
        Goal::Work { wake, power }
    }

    /// Puts the next words of a conversation on the wire, unless they came too late.
    fn say(&mut self, m: u32, out: &mut Output) {
        let now = self.now;
        let Some(command) = &self.machines[m as usize].command else { return };
        if now >= command.valid_until && !command.counted {
            return self.abort(m);
        }
        let late = now >= command.valid_until && !command.talk.restores();
        if late && command.tries > 0 {
            return self.answered(m, Ending::Answer(Answer::TimedOut));
        }
        if late && command.verified && command.talk.speaks() {
            // Looking what became of it is always right; telling it again has come too late.
            return self.answered(m, Ending::Unconfirmed);
        }
        if command.talk.speaks() {
            self.count(m);
            if self.machines[m as usize].phase == TargetPhase::Pending {
                self.set_phase(m, TargetPhase::Dispatched);
            }
        }
        let Some(command) = &mut self.machines[m as usize].command else { return };
        let ask = command.talk.say(now);
        self.send(m, Kind::Command, ask, out);
    }

    /// Gives up a command of which nothing but the request for a session was said.
    fn abort(&mut self, m: u32) {
        self.end_talk(m);
        let machine = &mut self.machines[m as usize];
        let Some(command) = machine.command.take() else { return };
        let open = machine.want.is_some();
        self.leave_stage(&command);
        if open {
            return self.line_up(m);
        }
        self.counts.open -= 1;
        self.lapsed(m, command.level);
    }

    /// Takes a command into the counts, once, and notes what the machine is told.
    fn count(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        if command.counted {
            return;
        }
        command.counted = true;
        self.counts.commands += 1;
        let cohort = &self.cohorts[usize::from(machine.kind)];
        let target = cohort.power_at(command.level).0;
        let told = machine.told.map(|(l, _, _)| cohort.power_at(l).0);
        command.fall = match machine.watts.or(told) {
            Some(from) => target <= from,
            None => command.level == Level::SLEEP,
        };
        machine.bar = bar(cohort, machine.watts, command.level);
        machine.target = Some(command.level);
        machine.told = Some((command.level, command.generation, self.now));
    }

    /// A command's reply came.
    pub(super) fn command_reply(&mut self, m: u32, bytes: &[u8], out: &mut Output) {
        self.heard(m);
        let now = self.now;
        let Some(command) = &mut self.machines[m as usize].command else { return };
        let turn = command.talk.hear(now, bytes);
        self.command_turn(m, turn, out);
    }

    /// A command's request was not answered.
    pub(super) fn command_failed(&mut self, m: u32, failure: Failure, out: &mut Output) {
        let now = self.now;
        let Some(command) = &mut self.machines[m as usize].command else { return };
        match command.talk.lost(now, failure) {
            Turn::Lost(failure) => self.command_lost(m, failure),
            turn => self.command_turn(m, turn, out),
        }
    }

    /// Goes on with a command, or ends the saying of it.
    fn command_turn(&mut self, m: u32, turn: Turn, out: &mut Output) {
        let machine = &self.machines[m as usize];
        let waits = machine.want.is_some();
        let counted = machine.command.as_ref().is_some_and(|c| c.counted);
        let restores = machine.command.as_ref().is_some_and(|c| c.talk.restores());
        match turn {
            Turn::Say if restores => return self.say(m, out),
            Turn::Verify(pause) if restores => return self.pause(m, Stage::Verifying, pause),
            _ => {}
        }
        if waits && counted {
            return self.overtaken(m, &turn);
        }
        if waits {
            self.redirect(m);
        }
        match turn {
            Turn::Say => self.say(m, out),
            // What needed no word is the newer target's to need or not.
            Turn::Accepted | Turn::Unconfirmed | Turn::Verify(_) if waits => self.say(m, out),
            Turn::Wait(pause) => self.pause(m, Stage::Pausing, pause),
            Turn::Verify(pause) => self.pause(m, Stage::Verifying, pause),
            Turn::Accepted => self.answered(m, Ending::Answer(Answer::Accepted)),
            Turn::Unconfirmed => self.answered(m, Ending::Unconfirmed),
            Turn::Refused(why) => {
                self.because(m, &why);
                self.answered(m, Ending::Answer(Answer::Refused));
            }
            Turn::Lost(failure) => self.command_lost(m, failure),
            Turn::Read(_) => {
                self.because(m, "it answered something else");
                self.answered(m, Ending::Answer(Answer::Refused));
            }
        }
    }

    fn pause(&mut self, m: u32, stage: Stage, pause: Span) {
        if let Some(c) = &mut self.machines[m as usize].command {
            c.stage = stage;
            c.verified |= stage == Stage::Verifying;
        }
        self.set_due(m, Some(self.now + pause));
    }

    /// Turns a conversation that only asked for a session so far to the newest target.
    fn redirect(&mut self, m: u32) {
        let Some(want) = self.machines[m as usize].want.take() else { return };
        self.wants -= 1;
        let goal = self.goal(m, want.level);
        if let Some(c) = &mut self.machines[m as usize].command {
            c.level = want.level;
            c.generation = want.generation;
            c.valid_until = want.valid_until;
            c.talk.redirect(goal);
        }
    }

    /// A reply came to a command that a newer target has overtaken.
    fn overtaken(&mut self, m: u32, turn: &Turn) {
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        let ending = match turn {
            Turn::Accepted => Ending::Answer(Answer::Accepted),
            // Part of it was accepted and the rest is not to be said any more.
            Turn::Say if command.talk.speaks() => Ending::Answer(Answer::Accepted),
            Turn::Verify(_) | Turn::Unconfirmed => Ending::Unconfirmed,
            Turn::Lost(_) => Ending::Answer(Answer::TimedOut),
            _ => Ending::Answer(Answer::Refused),
        };
        command.ending = ending;
        machine.answer = ending.answer().map(|answer| (answer, now));
        self.end_talk(m);
        self.count_ending(ending);
        self.note_done(m);
        self.supersede(m);
        self.line_up(m);
    }

    /// A command's request came to nothing.
    fn command_lost(&mut self, m: u32, failure: Failure) {
        self.missed(m);
        self.count(m);
        self.because(m, super::poll::said_of(failure));
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        machine.answer = Some((Answer::TimedOut, now));
        let waits = machine.want.is_some();
        let Some(command) = &mut machine.command else { return };
        if waits {
            self.end_talk(m);
            self.count_ending(Ending::Answer(Answer::TimedOut));
            self.supersede(m);
            return self.line_up(m);
        }
        // The engine hears of it at once, so that other machines cover for it meanwhile.
        let again = command.tries < RETRIES;
        command.tries += 1;
        self.set_phase(m, TargetPhase::Unavailable);
        self.mark(m);
        self.report.urgent = true;
        if again { self.line_up(m) } else { self.answered(m, Ending::Answer(Answer::TimedOut)) }
    }

    /// Takes out of a command's talk what outlives it.
    fn end_talk(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        if let Some(command) = &mut machine.command {
            let kept = command.talk.keep();
            let rival = command.talk.rival();
            machine.rival = rival.or(machine.rival);
            machine.keep(kept);
        }
    }

    fn count_ending(&mut self, ending: Ending) {
        match ending {
            Ending::Answer(Answer::Accepted) => self.counts.acked += 1,
            Ending::Answer(Answer::Refused) => self.counts.refused += 1,
            Ending::Answer(Answer::TimedOut) => self.counts.timed_out += 1,
            Ending::Unconfirmed => self.counts.unconfirmed += 1,
        }
    }

    /// Notes what an accepted command leaves the machine running.
    fn note_done(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = &machine.command else { return };
        if command.level == Level::SLEEP {
            if !self.family.can().keeps_power {
                let cohort = &self.cohorts[usize::from(machine.kind)];
                machine.profile = Some(Profile::Of(cohort.default));
            }
            return;
        }
        machine.profile = Some(match command.ending {
            Ending::Answer(Answer::Accepted) => Profile::Of(command.level),
            Ending::Answer(_) | Ending::Unconfirmed => Profile::Foreign,
        });
    }

    /// A command has its answer, or is given up: now its proof is awaited.
    fn answered(&mut self, m: u32, ending: Ending) {
        self.count(m);
        self.end_talk(m);
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        let cohort = &self.cohorts[usize::from(machine.kind)];
        command.stage = Stage::Proving;
        command.ending = ending;
        command.ends = on_grid(now + cohort.window(command.fall));
        machine.answer = ending.answer().map(|answer| (answer, now));
        self.talking -= 1;
        self.falling += usize::from(command.fall);
        let look = on_grid(now + cohort.first_look(command.fall));
        let phase = match ending {
            Ending::Answer(Answer::Accepted) | Ending::Unconfirmed => TargetPhase::Dispatched,
            Ending::Answer(_) => TargetPhase::Unavailable,
        };
        // A machine that fell mute would only hold a slot; its session dies by itself.
        if machine.holds() && ending == Ending::Answer(Answer::TimedOut) {
            machine.keep = None;
        }
        let logoff = machine.holds();
        if ending == Ending::Answer(Answer::Accepted) {
            machine.reason = None;
            if machine.rival == Some(Rival::Session) {
                machine.rival = None;
            }
        } else if phase == TargetPhase::Unavailable {
            self.report.urgent = true;
        }
        self.count_ending(ending);
        self.set_phase(m, phase);
        self.mark(m);
        self.note_done(m);
        self.set_due(m, Some(look));
        if logoff {
            self.enqueue(m, Queue::GiveBack);
        }
    }

    /// Gives a session back; what the machine says to that changes nothing.
    pub(super) fn give_back(&mut self, m: u32, out: &mut Output) {
        let machine = &mut self.machines[m as usize];
        if machine.wire.is_some_and(|w| matches!(w.kind, Kind::Command | Kind::GiveBack)) {
            return;
        }
        let Some(keep) = machine.keep.take_if(|k| k.holds()) else { return };
        self.abandon_poll(m, out);
        if let Some(ask) = self.family.give_back(&keep) {
            self.send(m, Kind::GiveBack, ask, out);
        }
    }

    /// Whether a reading proves or ends the command whose proof is awaited.
    pub(super) fn prove(&mut self, m: u32, watts: i64) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        let cohort = &self.cohorts[usize::from(machine.kind)];
        let agrees = cohort.agrees(command.level, watts, machine.bar);
        match command.stage {
            // Work that restarts falls like one that is told to sleep, and rises again: while the
            // talk goes on, its last word is awaited.
            Stage::Talking | Stage::Pausing | Stage::Verifying => return,
            Stage::Proving => {}
        }
        command.heard = true;
        if agrees {
            self.close(m, TargetPhase::Confirmed);
        } else if self.now >= command.ends {
            self.close_unproven(m);
        }
    }

    /// Ends a command whose proof did not come.
    pub(super) fn close_unproven(&mut self, m: u32) {
        let machine = &self.machines[m as usize];
        let Some(command) = &machine.command else { return };
        let said_no = matches!(command.ending, Ending::Answer(Answer::Refused | Answer::TimedOut));
        let phase = match command.ending {
            _ if said_no || !command.heard => TargetPhase::Unavailable,
            _ if command.fall => TargetPhase::Drifted,
            _ => TargetPhase::RestoreFailed,
        };
        if !said_no {
            self.because(
                m,
                match command.ending {
                    _ if !command.heard && machine.link == Link::Fresh => UNMEASURED,
                    _ if !command.heard => "not heard of",
                    Ending::Unconfirmed => "it was sent the command, its watts say no",
                    Ending::Answer(_) => "said yes, its watts say no",
                },
            );
        }
        self.close(m, phase);
        if self.options.poll {
            self.enqueue(m, Queue::Mode);
        }
    }

    fn close(&mut self, m: u32, phase: TargetPhase) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = machine.command.take() else { return };
        let open = machine.want.is_some();
        if phase == TargetPhase::Confirmed {
            machine.bar = Bar::None;
            machine.reason = None;
        }
        match phase {
            TargetPhase::Confirmed => self.counts.confirmed += 1,
            TargetPhase::Drifted | TargetPhase::RestoreFailed => self.counts.drifted += 1,
            _ => self.counts.unavailable += 1,
        }
        self.leave_stage(&command);
        self.counts.open -= u64::from(!open);
        self.set_phase(m, phase);
        // Watts that stood still are no news, but that they were read since the command is.
        self.mark(m);
        self.set_due(m, None);
    }

    /// Keeps why a machine did not do what it should, for people to read.
    pub(super) fn because(&mut self, m: u32, why: &str) {
        let machine = &mut self.machines[m as usize];
        if machine.reason.as_deref() != Some(why) {
            machine.reason = Some(words(why, 2 * WORDS_MAX).into());
        }
    }
}

fn bar(cohort: &CohortState, watts: Option<i64>, level: Level) -> Bar {
    if level == Level::SLEEP { Bar::None } else { cohort.bar(watts, level) }
}

/// The next whole second: what is due together goes out together.
pub(super) fn on_grid(t: headgate_core::time::Time) -> headgate_core::time::Time {
    use headgate_core::time::{SECOND, Time};
    Time((t.0.div_euclid(SECOND) + i64::from(t.0.rem_euclid(SECOND) != 0)) * SECOND)
}
