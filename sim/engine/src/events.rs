//! Events and spans of `tracing` that user code emits within a run.
//!
//! While a run is under way in a thread, what that thread emits goes into the run's trace, with
//! virtual time, node and boot, and nowhere else: not to a subscriber of the program's own, which
//! would stamp it with real time. To the code that emits it, everything is enabled always, whether
//! anybody reads a trace or not, and a filter works on what was emitted; so what the fields of an
//! event compute is computed in every run, and looking at a run does not change it.

use crate::world::with;
use std::cell::OnceCell;
use std::fmt::{Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::dispatcher::{DefaultGuard, Dispatch, set_default};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The variable that filters events: levels and targets, as in `info,my_crate::raft=trace`.
pub(crate) const FILTER: &str = "SQUALL_LOG";

/// The variable that does so if the other is not set and a trace is wanted anyway.
const COMMON_FILTER: &str = "RUST_LOG";

/// Reads a filter of events.
pub(crate) fn parse(text: &str) -> Result<Targets, String> {
    text.trim().parse().map_err(|error| {
        format!(
            "{text:?} is no filter ({error}): right is a level, or targets with levels, as in \
             {FILTER}=debug or {FILTER}=info,my_crate::raft=trace"
        )
    })
}

/// The filter that the environment asks for, as a text that can be read. With `trace` there is one
/// in any case, which without a variable lets everything through.
pub(crate) fn filter(
    variable: impl Fn(&str) -> Option<String>,
    trace: bool,
) -> Result<Option<String>, String> {
    let set = |name| variable(name).filter(|text| !text.trim().is_empty());
    let (name, text) = match (set(FILTER), trace) {
        (Some(text), _) => (FILTER, text),
        (None, false) => return Ok(None),
        (None, true) => match set(COMMON_FILTER) {
            Some(text) => (COMMON_FILTER, text),
            None => return Ok(Some("trace".to_owned())),
        },
    };
    match parse(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Takes over what this thread emits, until it is dropped.
pub(crate) fn listen(filter: Option<&Targets>) -> DefaultGuard {
    thread_local! {
        static NOBODY: OnceCell<Dispatch> = const { OnceCell::new() };
    }
    match filter {
        Some(filter) => {
            let lines = Registry::default().with(Lines(filter.clone()));
            set_default(&Dispatch::new(lines))
        }
        None => NOBODY.with(|nobody| set_default(nobody.get_or_init(|| Dispatch::new(Nobody)))),
    }
}

/// Lets everything be emitted, and takes no notice.
struct Nobody;

impl Subscriber for Nobody {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Gives each event to the world, as a line with the spans around it.
struct Lines(Targets);

/// The fields of a span, in words.
struct Fields(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let fields = said(|words| attributes.record(words));
        span.extensions_mut().insert(Fields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let more = said(|words| values.record(words));
        if let Some(Fields(fields)) = span.extensions_mut().get_mut() {
            fields.push_str(&more);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let about = event.metadata();
        if !self.0.would_enable(about.target(), about.level()) {
            return;
        }
        let mut text = format!("{} {}:", about.level(), about.target());
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get().map_or("", |Fields(fields)| fields.trim_start());
            let _ = match fields {
                "" => write!(text, " {}:", span.name()),
                _ => write!(text, " {}{{{fields}}}:", span.name()),
            };
        }
        text.push_str(&said(|words| event.record(words)));
        with(|world| world.emitted(text));
    }
}

/// What a visitor is told, in words. This is user code, and the world is not borrowed here.
fn said(record: impl FnOnce(&mut Said)) -> String {
    let mut words = Said::default();
    // A value that cannot be shown must not end a run that goes well when nobody looks.
    if catch_unwind(AssertUnwindSafe(|| record(&mut words))).is_err() {
        words.fields.push_str(" (a value panicked when it was to be shown)");
    }
    words.message + &words.fields
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, " {value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::run::{Outcome, Watch, run_logged, run_plan};
    use crate::scenario::Scenario;
    use crate::trace::{Log, Wanted};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use tracing::Instrument;

    async fn work(client: Client) -> Result<(), String> {
        let env = client.env();
        let span = tracing::info_span!("round", number = 7, leader = tracing::field::Empty);
        env.sleep(Duration::from_millis(2)).await;
        async {
            // What a field computes takes part in the run, whether anybody reads it or not.
            tracing::debug!(drawn = env.random_below(1), name = "a b", "draws its lot");
            env.sleep(Duration::from_millis(1)).await;
            tracing::Span::current().record("leader", "me");
            tracing::warn!(target: "other::part", "is in {}", "doubt");
        }
        .instrument(span)
        .await;
        tracing::trace!(value = ?Rude);
        env.sleep(Duration::from_millis(env.random_below(100))).await;
        Ok(())
    }

    struct Rude;

    impl Debug for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("this must not be shown")
        }
    }

    fn scenario() -> Scenario {
        Scenario::new("test/events").clients("client", 1..=1, work)
    }

    /// The events that pass a filter, and the outcome.
    fn events(filter: &str) -> (Vec<String>, Outcome) {
        let lines = Rc::<RefCell<Vec<String>>>::default();
        let told = Rc::clone(&lines);
        let (scenario, plan) = (scenario(), scenario().plan(3));
        let wanted = Wanted { world: false, lanes: false, filter: filter.to_owned() };
        let log = Log::told(&scenario, &plan, &wanted, move |line| told.borrow_mut().push(line));
        let outcome = run_logged(&scenario, 3, &plan, Watch::default(), Some(log.unwrap()));
        (lines.take(), outcome)
    }

    #[test]
    fn events_carry_virtual_time_node_boot_and_spans() {
        let (lines, outcome) = events("trace");
        assert_eq!(outcome.failure, None);
        let own = module_path!();
        assert_eq!(
            lines,
            [
                format!(
                    "0.002000 s client-1 boot 1: DEBUG {own}: round{{number=7}}: draws its lot \
                     drawn=0 name=\"a b\""
                ),
                "0.003000 s client-1 boot 1: WARN other::part: round{number=7 leader=\"me\"}: is \
                 in doubt"
                    .to_owned(),
                format!(
                    "0.003000 s client-1 boot 1: TRACE {own}: value= (a value panicked when it \
                     was to be shown)"
                ),
            ]
        );
    }

    #[test]
    fn a_filter_chooses_and_no_filter_changes_the_run() {
        let (all, some) = (events("trace"), events("warn"));
        assert_eq!((some.0.len(), events("off").0.len()), (1, 0));
        assert!(some.0[0].contains("other::part"), "{some:?}", some = some.0);
        assert_eq!(events("other=debug").0, some.0);
        let (scenario, plan) = (scenario(), scenario().plan(3));
        let quiet = run_plan(&scenario, 3, &plan, Watch::default());
        let kept = run_plan(&scenario, 3, &plan, Watch { log: true, ..Watch::default() });
        for seen in [&all.1, &some.1, &kept] {
            assert_eq!((seen.digest.clone(), seen.events), (quiet.digest.clone(), quiet.events));
        }
    }

    #[test]
    fn outside_of_a_run_events_go_where_they_went_before() {
        struct Count(std::sync::Arc<std::sync::atomic::AtomicU64>);
        impl<S: Subscriber> Layer<S> for Count {
            fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let count = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
        let own = Registry::default().with(Count(std::sync::Arc::clone(&count)));
        tracing::subscriber::with_default(own, || {
            tracing::info!("before");
            events("trace");
            tracing::info!("after");
        });
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[test]
    fn a_filter_comes_from_the_environment_or_is_refused() {
        let with = |set: &'static [(&str, &str)], trace| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            filter(|name| find(name).map(|(_, text)| (*text).to_owned()), trace)
        };
        assert_eq!(with(&[], false), Ok(None));
        assert_eq!(with(&[], true), Ok(Some("trace".to_owned())));
        assert_eq!(with(&[("RUST_LOG", "info")], false), Ok(None));
        assert_eq!(with(&[("RUST_LOG", "info")], true), Ok(Some("info".to_owned())));
        let both = &[("RUST_LOG", "info"), ("SQUALL_LOG", "a=debug,warn")];
        assert_eq!(with(both, false), Ok(Some("a=debug,warn".to_owned())));
        let wrong = with(&[("SQUALL_LOG", "my_crate=loud")], false).unwrap_err();
        assert!(wrong.starts_with("SQUALL_LOG: \"my_crate=loud\" is no filter"), "{wrong}");
        assert!(wrong.contains("SQUALL_LOG=debug"), "{wrong}");
    }
}
