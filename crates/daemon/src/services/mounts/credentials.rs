//! Which key pair an endpoint mount uses: explicit > AWS_* > R2_* (`conformance/credential_detection.json`).

use sandkeep_api::{ErrorCode, InvalidInput, MountCredentials};
use sandkeep_objects::{Credentials, SecretKey};

use crate::settings::Variables;

/// The explicit pair, or the first whole one of the variables.
pub(crate) fn detect(
    explicit: Option<&MountCredentials>,
    variables: &Variables,
) -> Result<Credentials, InvalidInput> {
    if let Some(given) = explicit {
        let token = given.session_token.as_deref();
        return Ok(credentials(&given.access_key_id, &given.secret_access_key, token));
    }
    variables.pair().ok_or_else(|| {
        InvalidInput::new(
            ErrorCode::MissingCredentials,
            "No credentials found. Set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, where the server runs, or pass explicit credentials.",
        )
    })
}

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials { session_token: token.map(SecretKey::new), ..Credentials::new(id, secret) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// The table's upstream drops the session token; ours accompanies its pair, so it is not compared here.
    #[test]
    fn the_table_of_the_contract_holds() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/credential_detection.json");
        let table: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the table"))
            .expect("the table is JSON");
        for row in table["cases"].as_array().expect("the table has cases") {
            let (input, expected) = (&row["input"], &row["expect"]);
            let explicit: Option<MountCredentials> =
                serde_json::from_value(input["credentials"].clone()).expect("credentials or none");
            let env: BTreeMap<String, String> =
                serde_json::from_value(input["env"].clone()).expect("variables");
            match detect(explicit.as_ref(), &Variables::new(env, &BTreeMap::new())) {
                Ok(found) => {
                    assert_eq!(expected["ok"]["accessKeyId"], found.access_key_id.0, "{input}");
                    assert_eq!(
                        expected["ok"]["secretAccessKey"],
                        found.secret_access_key.expose(),
                        "{input}"
                    );
                }
                Err(error) => {
                    assert_eq!(expected["error"], error.code.class_name(), "{input}");
                    assert_eq!(expected["code"], error.code.as_str(), "{input}");
                    let part = expected["messageHas"].as_str().expect("a text");
                    assert!(error.message.contains(part), "{input}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_token_accompanies_only_its_own_pair() {
        let env = [("AWS_SESSION_TOKEN", "t"), ("R2_ACCESS_KEY_ID", "r"), ("R2_SECRET_ACCESS_KEY", "s")];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let found = detect(None, &Variables::new(env, &BTreeMap::new())).expect("the R2 pair");
        assert_eq!(found.session_token, None);
    }
}
