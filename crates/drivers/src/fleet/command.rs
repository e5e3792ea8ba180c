//! From a plan's change to a command on the wire, its answer, its one retry and its proof.

use super::FleetDriver;
use super::machine::{Bar, CohortState, Command, Kind, Profile, Reading, Stage, Want};
use super::wire::Queue;
use crate::cgminer::{ReplyError, WORDS_MAX, words};
use crate::luxos::{Conversation, Goal, Turn};
use crate::{Failure, Output};
use headgate_core::fleet::{Answer, Declared, Level, TargetPhase};
use headgate_core::plan::{Change, DispatchPlan};
use headgate_core::time::Span;

/// Tries of one command beyond the first; choosing another machine is the core's.
const RETRIES: u8 = 1;
/// Pause before a session that another holds is asked for again.
const SESSION_PAUSE: Span = Span::seconds(2);

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
        let on_wire = machine.wire.is_some_and(|w| matches!(w.kind, Kind::Command | Kind::Logoff));
        match machine.stage() {
            Some(Stage::Proving) => self.supersede(m),
            // Its reply is on the way: the newer target is looked at when it has come.
            Some(_) if on_wire => return,
            Some(_) => {
                if let Some(c) = &mut machine.command {
                    machine.session = c.talk.take_session();
                    self.counts.timed_out += u64::from(c.counted);
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
            Stage::Talking | Stage::Pausing => self.talking -= 1,
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
        let session = machine.session.take();
        machine.command = Some(Box::new(Command {
            level: want.level,
            generation: want.generation,
            valid_until: want.valid_until,
            talk: Conversation::new(goal, session),
            stage: Stage::Talking,
            tries: 0,
            counted: false,
            answer: Answer::TimedOut,
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
        let logoff = machine.session.is_some();
        self.because(m, "its lease ran out before it could be told");
        self.set_phase(m, TargetPhase::Unavailable);
        if logoff {
            self.enqueue(m, Queue::Logoff);
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
        let profile = (!wake || !set).then(|| cohort.power_at(level));
        Goal::Work { wake, profile }
    }

    /// Puts the next words of a conversation on the wire, unless they came too late.
    fn say(&mut self, m: u32, out: &mut Output) {
        let now = self.now;
        let Some(command) = &self.machines[m as usize].command else { return };
        if now >= command.valid_until && !command.counted {
            return self.abort(m);
        }
        if now >= command.valid_until && command.tries > 0 {
            return self.answered(m, Answer::TimedOut);
        }
        if command.talk.speaks() {
            self.count(m);
            if self.machines[m as usize].phase == TargetPhase::Pending {
                self.set_phase(m, TargetPhase::Dispatched);
            }
        }
        let Some(command) = &self.machines[m as usize].command else { return };
        let bytes = command.talk.say();
        self.send(m, Kind::Command, bytes, out);
    }

    /// Gives up a command of which nothing but the request for a session was said.
    fn abort(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        let Some(mut command) = machine.command.take() else { return };
        machine.session = command.talk.take_session();
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
        let Some(command) = &mut self.machines[m as usize].command else { return };
        let turn = command.talk.hear(bytes);
        let waits = self.machines[m as usize].want.is_some();
        let counted = self.machines[m as usize].command.as_ref().is_some_and(|c| c.counted);
        if waits && counted {
            return self.overtaken(m, &turn);
        }
        if waits {
            self.redirect(m);
        }
        match turn {
            Ok(Turn::Say(_)) => self.say(m, out),
            Ok(Turn::Pause) => {
                if let Some(c) = &mut self.machines[m as usize].command {
                    c.stage = Stage::Pausing;
                }
                self.set_due(m, Some(self.now + SESSION_PAUSE));
            }
            Ok(Turn::Accepted) => self.answered(m, Answer::Accepted),
            Ok(Turn::Refused(why)) => {
                self.because(m, &why);
                self.answered(m, Answer::Refused);
            }
            Err(e) => {
                self.because(m, &e.to_string());
                self.answered(m, Answer::Refused);
            }
        }
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
    fn overtaken(&mut self, m: u32, turn: &Result<Turn, ReplyError>) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        let accepted = match turn {
            Ok(Turn::Accepted) => true,
            // Part of it was accepted and the rest is not to be said any more.
            Ok(Turn::Say(_)) => command.talk.speaks(),
            Ok(Turn::Pause | Turn::Refused(_)) | Err(_) => false,
        };
        machine.session = command.talk.take_session();
        let answer = if accepted { Answer::Accepted } else { Answer::Refused };
        machine.answer = Some((answer, self.now));
        if accepted {
            self.counts.acked += 1;
        } else {
            self.counts.refused += 1;
        }
        self.note_done(m);
        self.supersede(m);
        self.line_up(m);
    }

    /// A command's request was not answered.
    pub(super) fn command_failed(&mut self, m: u32, failure: Failure) {
        self.missed(m);
        self.count(m);
        self.because(m, super::poll::said_of(failure));
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        machine.answer = Some((Answer::TimedOut, now));
        let waits = machine.want.is_some();
        let Some(command) = &mut machine.command else { return };
        if waits {
            machine.session = command.talk.take_session();
            self.counts.timed_out += 1;
            self.supersede(m);
            return self.line_up(m);
        }
        // The engine hears of it at once, so that other machines cover for it meanwhile.
        let again = command.tries < RETRIES;
        command.tries += 1;
        self.set_phase(m, TargetPhase::Unavailable);
        self.mark(m);
        self.report.urgent = true;
        if again { self.line_up(m) } else { self.answered(m, Answer::TimedOut) }
    }

    /// Notes what an accepted command leaves the machine running.
    fn note_done(&mut self, m: u32) {
        let machine = &mut self.machines[m as usize];
        let (Some(command), Some((answer, _))) = (&machine.command, machine.answer) else { return };
        if command.level == Level::SLEEP {
            return;
        }
        machine.profile = Some(match answer {
            Answer::Accepted => Profile::Of(command.level),
            Answer::Refused | Answer::TimedOut => Profile::Foreign,
        });
    }

    /// A command has its answer, or is given up: now its proof is awaited.
    fn answered(&mut self, m: u32, answer: Answer) {
        self.count(m);
        let now = self.now;
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        let cohort = &self.cohorts[usize::from(machine.kind)];
        command.stage = Stage::Proving;
        command.answer = answer;
        command.ends = on_grid(now + cohort.window(command.fall));
        machine.answer = Some((answer, now));
        let session = command.talk.take_session();
        self.talking -= 1;
        self.falling += usize::from(command.fall);
        let look = on_grid(now + cohort.first_look(command.fall));
        let phase = match answer {
            Answer::Accepted => TargetPhase::Dispatched,
            Answer::Refused | Answer::TimedOut => TargetPhase::Unavailable,
        };
        match answer {
            Answer::Accepted => self.counts.acked += 1,
            Answer::Refused => self.counts.refused += 1,
            Answer::TimedOut => self.counts.timed_out += 1,
        }
        // A machine that fell mute would only hold a slot; its session dies by itself.
        machine.session = session.filter(|_| answer != Answer::TimedOut);
        let logoff = machine.session.is_some();
        if answer == Answer::Accepted {
            machine.reason = None;
        } else {
            self.report.urgent = true;
        }
        self.set_phase(m, phase);
        self.mark(m);
        self.note_done(m);
        self.set_due(m, Some(look));
        if logoff {
            self.enqueue(m, Queue::Logoff);
        }
    }

    /// Gives a session back; what the machine says to that changes nothing.
    pub(super) fn give_back(&mut self, m: u32, out: &mut Output) {
        let machine = &mut self.machines[m as usize];
        if machine.wire.is_some_and(|w| matches!(w.kind, Kind::Command | Kind::Logoff)) {
            return;
        }
        let Some(session) = machine.session.take() else { return };
        self.abandon_poll(m, out);
        self.send(m, Kind::Logoff, crate::luxos::logoff(&session), out);
    }

    /// Whether a reading proves or ends the command whose proof is awaited.
    pub(super) fn prove(&mut self, m: u32, watts: i64) {
        let machine = &mut self.machines[m as usize];
        let Some(command) = &mut machine.command else { return };
        if command.stage != Stage::Proving {
            return;
        }
        command.heard = true;
        let cohort = &self.cohorts[usize::from(machine.kind)];
        if cohort.agrees(command.level, watts, machine.bar) {
            self.close(m, TargetPhase::Confirmed);
        } else if self.now >= command.ends {
            self.close_unproven(m);
        }
    }

    /// Ends a command whose proof did not come.
    pub(super) fn close_unproven(&mut self, m: u32) {
        let Some(command) = &self.machines[m as usize].command else { return };
        let phase = match command.answer {
            Answer::Accepted if !command.heard => TargetPhase::Unavailable,
            Answer::Accepted if command.fall => TargetPhase::Drifted,
            Answer::Accepted => TargetPhase::RestoreFailed,
            Answer::Refused | Answer::TimedOut => TargetPhase::Unavailable,
        };
        if command.answer == Answer::Accepted {
            let why = if command.heard { "said yes, its watts say no" } else { "not heard of" };
            self.because(m, why);
        }
        self.close(m, phase);
        if self.options.poll {
            self.enqueue(m, Queue::Config);
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
