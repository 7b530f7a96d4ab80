use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use super::{section::section, *};

fn flag(key: &str, value: &str) -> FlagValue {
    FlagValue {
        flag: "--set".to_owned(),
        key: key.to_owned(),
        value: Given::Text(value.to_owned()),
    }
}

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    layered(text, &[], &[])
}

fn layered(text: &str, environment: &[(&str, &str)], flags: &[FlagValue]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filmroom.toml");
    fs::write(&path, text).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&path), environment, flags)
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = from_file(text).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

fn key(key: &str) -> Setting {
    Config::settings()
        .into_iter()
        .find(|setting| setting.key == key)
        .unwrap()
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "[dicom]\nae_title = \"FILE\"\nassociations_max = 7\n[http]\nlisten = \"127.0.0.1:1\"\n";
    let environment = [
        ("FILMROOM_DICOM_AE_TITLE", "ENV"),
        ("FILMROOM_HTTP_LISTEN", "127.0.0.1:2"),
        ("PATH", "/bin"),
    ];
    let loaded = layered(file, &environment, &[flag("dicom.ae_title", "FLAG")]).unwrap();
    assert_eq!(loaded.config.dicom.ae_title.as_str(), "FLAG");
    assert_eq!(loaded.config.http.listen, SocketAddr::from(([127, 0, 0, 1], 2)));
    assert_eq!(loaded.config.dicom.associations_max, 7);
    assert_eq!(loaded.config.log.format, LogFormat::Text);

    assert_eq!(loaded.source(&key("dicom.ae_title")), Source::Flag("--set".to_owned()));
    assert_eq!(
        loaded.source(&key("http.listen")),
        Source::Environment("FILMROOM_HTTP_LISTEN".to_owned())
    );
    assert!(matches!(
        loaded.source(&key("dicom.associations_max")),
        Source::File { line: 3, .. }
    ));
    assert_eq!(loaded.source(&key("log.format")), Source::Default);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_nearest() {
    refused(
        "[dicom]\nlisten = \"127.0.0.1:0\"\nae_titel = \"X\"\n",
        &[
            "filmroom.toml:3",
            "dicom.ae_titel",
            "did you mean \"ae_title\"?",
            "associations_max",
        ],
    );
    refused("[dicm]\n", &["filmroom.toml:1", "did you mean \"dicom\"?", "storage"]);
    refused("\nae_title = \"X\"\n", &["filmroom.toml:2", "it belongs into [dicom]"]);
    refused("[http]\nae_title = \"X\"\n", &["it belongs into [dicom]"]);
}

#[test]
fn all_problems_are_told_at_once() {
    refused(
        "[dicom]\nae_titel = \"X\"\nassociations_max = 0\n",
        &["ae_titel", "associations_max", "from 1 to 4096"],
    );
}

#[test]
fn unknown_variables_and_flags_name_the_nearest() {
    let error = layered("", &[("FILMROOM_DICOM_AE_TITEL", "X")], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("FILMROOM_DICOM_AE_TITLE"), "{error}");
    for slip in ["FILMROOM_HTP_LISTEN", "FILMROOM_HTTP_PORT", "FILMROOM_DICOM_PEER"] {
        assert!(layered("", &[(slip, "X")], &[]).is_err(), "{slip}");
    }
    let error = layered("", &[], &[flag("http.lisen", "X")]).unwrap_err().to_string();
    assert!(error.contains("http.listen"), "{error}");
}

#[test]
fn variables_of_others_with_our_prefix_are_let_be() {
    let others = [
        ("FILMROOM_BIN", "/usr/bin/filmroom"),
        ("FILMROOM_HOME", "/srv"),
        ("FILMROOM_PORT", "tcp://10.0.0.1:8080"),
        ("FILMROOM_HTTP_SERVICE_HOST", "10.0.0.1"),
        ("FILMROOM_HTTP_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    let loaded = layered("", &others, &[]).unwrap();
    assert_eq!(loaded.ignored.len(), others.len());
    assert!(
        loaded
            .report()
            .contains("FILMROOM_BIN in the environment is no setting")
    );
}

#[test]
fn wrong_values_say_what_is_allowed() {
    refused(
        "[dicom]\nae_title = \"SEVENTEEN LETTERS\"\n",
        &["filmroom.toml:2", "17 characters", "1 to 16"],
    );
    refused("[dicom]\nlisten = \"nowhere:1\"\n", &["nowhere", "127.0.0.1:11112"]);
    refused("[dicom]\nlisten = true\n", &["the port is missing"]);
    refused("[dicom]\npdu_length_max = \"1 KiB\"\n", &["4 KiB", "4 MiB"]);
    refused("[http]\nbody_timeout = \"10\"\n", &["unit is missing"]);
    refused("[http]\nbody_timeout = [1]\n", &["not a single value"]);
    refused("[log]\nlevel = \"loud\"\n", &["names no level"]);
    refused("dicom = 1\n", &["write [dicom]"]);
    refused("[dicom\n", &["filmroom.toml:1", "not TOML"]);
}

#[test]
fn a_file_that_is_not_there_is_an_error_when_named() {
    let error = load(Some(&PathBuf::from("no/such.toml")), [], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no/such.toml"), "{error}");
}

#[test]
fn peers_come_as_texts_or_tables() {
    let file = "[dicom]\npeers = [\"PACS=pacs.example:104\", { ae_title = \"WS 1\", address = \"[::1]:4242\" }]\n";
    let peers = from_file(file).unwrap().config.dicom.peers;
    assert_eq!(peers.show(), r#"["PACS=pacs.example:104", "WS 1=[::1]:4242"]"#);

    let peers = from_file("[[dicom.peers]]\nae_title = \"A\"\naddress = \"h:1\"\n")
        .unwrap()
        .config
        .dicom
        .peers;
    assert_eq!(peers.len(), 1);

    refused("[dicom]\npeers = [\"PACS\"]\n", &["AET=HOST:PORT"]);
    refused("[dicom]\npeers = [\"PACS=h:0\"]\n", &["1 to 65535"]);
    refused("[dicom]\npeers = [\"PACS=a/b:1\"]\n", &["neither a host name"]);
    refused(
        "[dicom]\npeers = [{ ae_title = \"A\", adress = \"h:1\" }]\n",
        &["adress"],
    );
    refused("[dicom]\npeers = [\"A=h:1\", \"A=h:2\"]\n", &["A twice"]);
}

#[test]
fn sizes_and_times_have_units() {
    let file = "[storage]\nstaged_from = \"16 MiB\"\nsegment_max = 67108864\nsettle_after = \"2 min\"\n";
    let config = from_file(file).unwrap().config;
    let options = config.store_options();
    assert_eq!(options.staged_from_bytes, 16 << 20);
    assert_eq!(options.segment_max_bytes, 64 << 20);
    assert_eq!(options.settle_after, Duration::from_secs(120));
    assert_eq!(Size::from_text("500 kB"), Ok(Size(500_000)));
    assert!(Size::from_text("99999999 TiB").is_err());
    assert!(Size::from_text("MiB").is_err());
}

#[test]
fn every_default_is_shown_as_it_can_be_read_again() {
    let report = from_file("").unwrap().report();
    let again = from_file(&report).unwrap();
    for setting in Config::settings() {
        assert_eq!(again.config.show(&setting), setting.default, "{}", setting.key);
        assert!(!setting.about.is_empty() && !setting.why.is_empty() && !setting.allowed.is_empty());
    }
}

#[test]
fn the_doors_run_with_their_own_defaults() {
    let config = from_file("").unwrap().config;
    let dimse = filmroom_dimse::DimseConfig {
        called_ae_title: filmroom_dimse::CalledAeTitle::Any,
        ..filmroom_dimse::DimseConfig::default()
    };
    assert_eq!(format!("{:?}", config.dimse()), format!("{dimse:?}"));
    assert_eq!(config.dicomweb(), filmroom_dicomweb::DicomwebConfig::default());
}

#[test]
fn parts_of_tls_belong_together() {
    refused(
        "[dicom]\ntls_listen = \"127.0.0.1:0\"\n",
        &["needs dicom.tls_certificate", "vouched for"],
    );
    refused("[dicom]\ntls_key = \"key.pem\"\n", &["go together"]);
    refused(
        "[http]\ntls_key = \"key.pem\"\n",
        &["http.tls_certificate and http.tls_key go together"],
    );
}

#[test]
fn peers_are_told_in_full() {
    let text = "[dicom]\npeers = [\"A=h:104\", { ae_title = \"B\", address = \"[::1]:2762\", tls = true, may = [\"find\"] }]\n";
    let loaded = from_file(text).unwrap();
    let [a, b] = loaded.config.dicom.peers.as_slice() else {
        panic!()
    };
    assert!(a.is_plain() && !b.is_plain());
    let shown = Value::show(&loaded.config.dicom.peers);
    let again = from_file(&format!("[dicom]\npeers = {shown}\n")).unwrap();
    assert_eq!(again.config.dicom.peers, loaded.config.dicom.peers);
    refused(
        "[dicom]\npeers = [{ ae_title = \"B\", address = \"h:104\", colour = 1 }]\n",
        &["colour"],
    );
}

#[test]
fn variables_of_settings_differ() {
    let mut variables: Vec<_> = Config::settings().iter().map(Setting::variable).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), Config::settings().len());
}

section! {
    /// A section with something to hide.
    Hidden "hidden" {
        token: Secret = Secret::from_text("").unwrap(),
            unit "",
            about "A.",
            why "B.";
    }
}

#[test]
fn secrets_are_masked() {
    let mut hidden = Hidden::default();
    hidden.set("token", &Given::Text("hunter2".to_owned())).unwrap();
    assert_eq!(hidden.token.reveal(), "hunter2");
    assert_eq!(hidden.show("token").unwrap(), "\"********\"");
    assert!(!format!("{hidden:?}").contains("hunter2"));
}

#[track_caller]
fn exposure(key: &str, address: &str, expected: bool) {
    let loaded = load(Some(&PathBuf::from("/dev/null")), [], &[flag(key, address)]).unwrap();
    assert_eq!(check_exposure(&loaded.config).is_err(), expected, "{address}");
    let flags = [flag(key, address), flag("access.insecure", "true")];
    let loaded = load(Some(&PathBuf::from("/dev/null")), [], &flags).unwrap();
    assert!(check_exposure(&loaded.config).is_ok());
}

#[test]
fn other_machines_are_kept_out_unless_accepted() {
    exposure("dicom.listen", "127.0.0.1:1", false);
    exposure("dicom.listen", "127.9.9.9:1", false);
    exposure("http.listen", "[::1]:1", false);
    exposure("http.listen", "[::ffff:127.0.0.1]:1", false);
    exposure("http.listen", "0.0.0.0:1", true);
    exposure("dicom.listen", "[::]:1", true);
    exposure("dicom.listen", "192.168.1.5:104", true);
}

#[test]
fn http_is_open_to_others_with_tls_and_authentication_alone() {
    let tls = "[http]\nlisten = \"0.0.0.0:1\"\ntls_certificate = \"c\"\ntls_key = \"k\"\n";
    let check = |text: &str| {
        let config = from_file(text).unwrap().config;
        let demanded = config.demand() == filmroom_admission::Demand::Credentials;
        (check_exposure(&config).is_ok(), demanded, given_up(&config).len())
    };
    assert_eq!(check(""), (true, false, 0));
    assert_eq!(check("[access]\nauthentication = \"required\"\n"), (true, true, 0));
    assert_eq!(check(tls), (true, true, 0));
    let with = |access: &str| check(&format!("{tls}[access]\n{access}\n"));
    assert_eq!(with("authentication = \"off\""), (false, false, 0));
    assert_eq!(with("insecure = \"dicom\""), (true, true, 0));
    assert_eq!(with("authentication = \"off\"\ninsecure = true"), (true, false, 1));
    let plain = |access: &str| check(&format!("[http]\nlisten = \"0.0.0.0:1\"\n[access]\n{access}\n"));
    assert_eq!(plain(""), (false, true, 0));
    assert_eq!(plain("insecure = \"http\""), (true, false, 1));
    assert_eq!(
        plain("authentication = \"required\"\ninsecure = \"http\""),
        (true, true, 1)
    );
    let refused = from_file("[http]\nlisten = \"0.0.0.0:1\"\n").unwrap();
    let refused = check_exposure(&refused.config).unwrap_err().to_string();
    for step in [
        "http.tls_certificate",
        "filmroom user add NAME --role administrator",
        "--insecure=http",
    ] {
        assert!(refused.contains(step), "{refused}");
    }
}

#[test]
fn a_section_may_lie_in_another() {
    let secret = [("FILMROOM_OBJECTS_S3_SECRET_ACCESS_KEY", "hunter2")];
    let file = "[objects]\nengine = \"s3\"\n\n[objects.s3]\nbucket = \"b\"\npath_style = true\naccess_key_id = \"K\"\n";
    let loaded = layered(file, &secret, &[flag("objects.s3.part_size", "8 MiB")]).unwrap();
    let shown = |name: &str| loaded.config.show(&key(name));
    assert_eq!(shown("objects.s3.bucket"), "\"b\"");
    assert_eq!(shown("objects.s3.path_style"), "\"true\"");
    assert_eq!(shown("objects.s3.part_size"), "\"8 MiB\"");
    assert!(loaded.report().contains("\n[objects.s3]\n") && !loaded.report().contains("hunter2"));
    assert!(!format!("{:?}", loaded.config.store_options()).contains("hunter2"));

    refused("[objects]\nengine = \"s3\"\n", &["objects.s3.bucket"]);
    refused(
        "[objects.s3]\nbukcet = \"b\"\n",
        &["filmroom.toml:2", "objects.s3.bukcet", "did you mean \"bucket\"?"],
    );
    refused("[objects.s4]\nbucket = \"b\"\n", &["objects.s4"]);
    refused("[objects.s3]\naccess_key_id = \"K\"\n", &["belong together"]);
    refused("[objects.s3]\nsse = \"customer\"\n", &["sse_customer_key"]);
    assert!(layered("", &[("FILMROOM_OBJECTS_S3_BUKCET", "b")], &[]).is_err());
}
