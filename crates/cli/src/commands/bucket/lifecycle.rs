//! `sandkeep bucket lifecycle`: what goes by itself, and when.

use sandkeep_api::{BucketLifecycle, BucketRule};

use crate::arguments::LifecycleArguments;
use crate::commands::{Result, service};
use crate::error::Error;
use crate::output::Output;

/// The rule about unfinished uploads.
const ABORT_ID: &str = "abort-incomplete";

pub(super) async fn run(arguments: LifecycleArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    let before = client.bucket_lifecycle(&arguments.name).await?;
    let after = changed(before.clone(), &arguments)?;
    let shown = if after == before && !is_change(&arguments) {
        before
    } else {
        client.set_bucket_lifecycle(&arguments.name, &after).await?
    };
    show(&arguments.name, &shown, output);
    Ok(())
}

fn is_change(arguments: &LifecycleArguments) -> bool {
    arguments.rm || arguments.days.is_some() || arguments.abort_incomplete_days.is_some()
}

fn changed(mut lifecycle: BucketLifecycle, arguments: &LifecycleArguments) -> Result<BucketLifecycle> {
    let rules = &mut lifecycle.rules;
    match (&arguments.expire_prefix, arguments.days) {
        (None, _) if arguments.rm => rules.clear(),
        (Some(prefix), _) if arguments.rm => {
            let count = rules.len();
            rules.retain(|rule| !expires(rule, prefix));
            if rules.len() == count {
                let missing = format!("no rule of {} expires {prefix:?}", arguments.name);
                let hint = format!("`sandkeep bucket lifecycle {}` shows the rules", arguments.name);
                return Err(Error::new(missing).hint(hint));
            }
        }
        (Some(_), None) => {
            return Err(Error::new("--expire-prefix needs --days").hint("or --rm, to take the rule away"));
        }
        (Some(prefix), Some(days)) => {
            rules.retain(|rule| !expires(rule, prefix));
            let id = if prefix.is_empty() { "expire-all".to_owned() } else { format!("expire-{prefix}") };
            let id: String = id.chars().take(255).collect();
            rules.push(BucketRule { prefix: prefix.clone(), expire_after_days: Some(days), ..rule(id) });
        }
        (None, None) => {}
        (None, Some(_)) => return Err(Error::new("--days needs --expire-prefix")),
    }
    if let Some(days) = arguments.abort_incomplete_days {
        rules.retain(|rule| rule.id != ABORT_ID);
        rules.push(BucketRule { abort_incomplete_after_days: Some(days), ..rule(ABORT_ID.to_owned()) });
    }
    Ok(lifecycle)
}

/// Whether a rule does nothing but expire this prefix.
fn expires(rule: &BucketRule, prefix: &str) -> bool {
    rule.prefix == prefix && rule.expire_after_days.is_some() && rule.abort_incomplete_after_days.is_none()
}

fn rule(id: String) -> BucketRule {
    BucketRule {
        id,
        prefix: String::new(),
        enabled: true,
        expire_after_days: None,
        abort_incomplete_after_days: None,
    }
}

fn show(name: &str, lifecycle: &BucketLifecycle, output: Output) {
    if lifecycle.rules.is_empty() && !output.json() {
        output.line(&format!("nothing in {name} goes by itself"));
        return;
    }
    let days = |days: Option<u32>| days.map_or_else(|| "never".to_owned(), |days| format!("{days} days"));
    output.list(
        &lifecycle.rules,
        &["rule", "prefix", "objects go after", "uploads go after", "in force"],
        |rule| {
            vec![
                rule.id.clone(),
                rule.prefix.clone(),
                days(rule.expire_after_days),
                days(rule.abort_incomplete_after_days),
                if rule.enabled { "yes" } else { "no" }.to_owned(),
            ]
        },
    );
}
