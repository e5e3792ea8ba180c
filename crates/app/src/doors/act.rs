//! What a person may ask of a running site, by whichever door, and how it reaches the engine.

use crate::fleet::view::PreviewView;
use crate::status::{ActRequest, Desk, PreviewRequest};
use headgate_core::event::{Act, AutomationMode, OperatorAct};
use headgate_core::limits::TEXT_MAX;
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Longest name a person may give for themselves, in characters.
pub const ACTOR_MAX: usize = 100;
/// Highest power that can be asked for: a terawatt, beyond any site and within every sum.
pub const POWER_W_MAX: i64 = 1_000_000_000_000;
/// Latest deadline that can be asked for: a week.
const WITHIN_MS_MAX: i64 = 7 * 24 * 3_600_000;
/// How long the engine may take to take an act in, wall time.
pub const ACT_WAIT_MAX: Duration = Duration::from_secs(10);

/// A request to a running site. On the wire `do` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks how the site is.
    Status {},
    /// Holds the site at a power, or where it is.
    Hold {
        /// Why; a hold without a reason is refused.
        reason: String,
        /// The power to hold; `None` is the present set point.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        power_w: Option<i64>,
        /// When it ends by itself, RFC 3339, by the clock the site lives in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// Whom the request is for, where that is not who sends it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Lets go of a hold or a stop.
    Release {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whom the request is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Everything down at once; nobody in a hurry has to give a reason.
    Stop {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whom the request is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Brings so much power down by a deadline, and holds it down.
    Curtail {
        /// How much, at the meter.
        shed_w: i64,
        /// The deadline, so many milliseconds from when the act arrives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<i64>,
        /// The deadline, RFC 3339, by the clock the site lives in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whom the request is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Asks what [`Request::Curtail`] would do, and does nothing.
    Preview {
        /// How much, at the meter.
        shed_w: i64,
        /// The deadline, so many milliseconds from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<i64>,
        /// The deadline, RFC 3339, by the clock the site lives in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// Lets power come back after a curtailment.
    Resume {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whom the request is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
    /// Sets how much the program may do by itself.
    Mode {
        /// Which mode.
        mode: Mode,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whom the request is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
    },
}

/// The modes a person may choose; advice on approval is not built yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decides and acts.
    Auto,
    /// Decides and journals, touches nothing.
    Shadow,
    /// Holds what is.
    Hold,
    /// Decides nothing.
    Off,
}

impl From<Mode> for AutomationMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Shadow => Self::Shadow,
            Mode::Hold => Self::Hold,
            Mode::Off => Self::Off,
        }
    }
}

/// Says why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The request makes no sense; the sentence names the field and the mend.
    #[error("{0}")]
    Bad(String),
    /// The engine would not.
    #[error("the engine refused: {0}")]
    Refused(String),
    /// The engine did not get round to it, and nothing was done.
    #[error(
        "the engine took no act for {} s and this one was dropped; try again",
        ACT_WAIT_MAX.as_secs()
    )]
    Busy,
    /// The engine was given the act and did not answer.
    #[error(
        "the engine has the act but did not answer for {} s; look at the status before repeating",
        ACT_WAIT_MAX.as_secs()
    )]
    Unanswered,
    /// The site is on its way down.
    #[error("the site is shutting down and takes no act")]
    Closed,
}

/// Hands an act to the engine and waits for its place in the journal.
///
/// `who` is what this machine knows of the sender; a name in the request only adds to it.
///
/// # Errors
/// When the request is no act or makes no sense, or the engine refuses or stays silent.
pub async fn perform(desk: &Desk, request: &Request, who: &str) -> Result<u64, ActError> {
    let (now, mode) = {
        let status = desk.status.borrow();
        (Time(status.at_ns), status.mode.clone())
    };
    if matches!(request, Request::Curtail { .. }) && !crate::fleet::text::acts(&mode) {
        let why = format!("the mode is `{mode}` and nothing would be sent; set it to auto first");
        return Err(ActError::Bad(why));
    }
    let act = request.operator_act(now, who)?;
    let (done, answer) = oneshot::channel();
    let seq = handed(&desk.acts, ActRequest { act, done }, answer).await?;
    seq.map_err(ActError::Refused)
}

/// Hands a question to the engine and waits for the answer, each for as long as an act waits.
async fn handed<Q, A>(
    door: &mpsc::Sender<Q>,
    question: Q,
    answer: oneshot::Receiver<A>,
) -> Result<A, ActError> {
    match tokio::time::timeout(ACT_WAIT_MAX, door.send(question)).await {
        Err(_) => return Err(ActError::Busy),
        Ok(Err(_)) => return Err(ActError::Closed),
        Ok(Ok(())) => {}
    }
    let answered = tokio::time::timeout(ACT_WAIT_MAX, answer).await;
    answered.map_err(|_| ActError::Unanswered)?.map_err(|_| ActError::Closed)
}

impl Request {
    /// Checks the request and turns it into what the journal keeps.
    fn operator_act(&self, now: Time, who: &str) -> Result<OperatorAct, ActError> {
        let (act, reason, actor) = match self {
            Self::Status {} => return Err(ActError::Bad("`status` is no act".to_owned())),
            Self::Preview { .. } => return Err(ActError::Bad("`preview` is no act".to_owned())),
            Self::Hold { reason, power_w, until, actor } => {
                if reason.trim().is_empty() {
                    return Err(ActError::Bad("`reason` is empty; say why to hold".to_owned()));
                }
                let power = power_w.map(power).transpose()?;
                let until = until.as_deref().map(|t| later("until", t, now)).transpose()?;
                (Act::Hold { power, until }, Some(reason), actor)
            }
            Self::Release { reason, actor } => (Act::Release, reason.as_ref(), actor),
            Self::Stop { reason, actor } => (Act::Stop, reason.as_ref(), actor),
            Self::Curtail { shed_w, within_ms, by, reason, actor } => {
                let shed = shed(*shed_w)?;
                let by = deadline(*within_ms, by.as_deref(), now)?;
                (Act::Curtail { shed, by }, reason.as_ref(), actor)
            }
            Self::Resume { reason, actor } => (Act::Resume, reason.as_ref(), actor),
            Self::Mode { mode, reason, actor } => {
                (Act::Mode((*mode).into()), reason.as_ref(), actor)
            }
        };
        let reason = text("reason", reason.map_or("", String::as_str), TEXT_MAX)?;
        let actor = match text("actor", actor.as_deref().unwrap_or(""), ACTOR_MAX)? {
            given if given.is_empty() => who.to_owned(),
            given => format!("{who}, for {given}"),
        };
        Ok(OperatorAct { actor, reason, act })
    }
}

fn power(watts: i64) -> Result<Power, ActError> {
    if (0..=POWER_W_MAX).contains(&watts) {
        return Ok(Power(watts));
    }
    Err(ActError::Bad(format!("`power_w` is {watts}; give watts from 0 to {POWER_W_MAX}")))
}

fn shed(watts: i64) -> Result<Power, ActError> {
    if (1..=POWER_W_MAX).contains(&watts) {
        return Ok(Power(watts));
    }
    Err(ActError::Bad(format!("`shed_w` is {watts}; give watts from 1 to {POWER_W_MAX}")))
}

/// A deadline given as a moment or as a time from now, and never both.
fn deadline(within_ms: Option<i64>, by: Option<&str>, now: Time) -> Result<Time, ActError> {
    match (within_ms, by) {
        (None, Some(by)) => later("by", by, now),
        (Some(ms), None) if (1..=WITHIN_MS_MAX).contains(&ms) => Ok(now + Span::millis(ms)),
        (Some(ms), None) => Err(ActError::Bad(format!(
            "`within_ms` is {ms}; give milliseconds from 1 to {WITHIN_MS_MAX}"
        ))),
        _ => Err(ActError::Bad("give either `within_ms` or `by`, so much time or a moment".into())),
    }
}

/// Asks the engine what a curtailment would do.
///
/// # Errors
/// When the request is no preview or makes no sense, or the engine stays silent.
pub async fn preview(desk: &Desk, request: &Request) -> Result<PreviewView, ActError> {
    let Request::Preview { shed_w, within_ms, by } = request else {
        return Err(ActError::Bad("this is no preview".to_owned()));
    };
    let now = Time(desk.status.borrow().at_ns);
    let (shed, by) = (shed(*shed_w)?, deadline(*within_ms, by.as_deref(), now)?);
    let (done, answer) = oneshot::channel();
    let preview = handed(&desk.previews, PreviewRequest { shed, by, done }, answer).await?;
    preview.ok_or_else(|| ActError::Refused("the site is not known yet".into()))
}

fn later(field: &str, text: &str, now: Time) -> Result<Time, ActError> {
    let bad = |what: &str| ActError::Bad(format!("`{field}` {what}"));
    let Ok(stamp) = text.parse::<jiff::Timestamp>() else {
        return Err(bad("is no RFC 3339 time; give one like 2030-01-31T18:00:00Z"));
    };
    let until = i64::try_from(stamp.as_nanosecond())
        .ok()
        .map(Time)
        .filter(|t| *t <= Time::MAX)
        .ok_or_else(|| bad(&format!("is too far off; give a time before {}", Time::MAX)))?;
    if until <= now {
        return Err(bad(&format!("is past: it is {now} where the site lives; give a later time")));
    }
    Ok(until)
}

/// Takes a text of a person; one line, because it ends up in logs and on screens.
fn text(field: &str, given: &str, max: usize) -> Result<String, ActError> {
    let given = given.trim();
    let long = given.chars().count();
    if long > max {
        let why = format!("`{field}` has {long} characters; give at most {max}");
        return Err(ActError::Bad(why));
    }
    if given.chars().any(char::is_control) {
        let why =
            format!("`{field}` holds a line break or another control character; leave it out");
        return Err(ActError::Bad(why));
    }
    Ok(given.to_owned())
}
