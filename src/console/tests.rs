use maud::Render;

use super::{ask::tag, layout::Depth, problem::Problem, study, words};
use filmroom_dataset::Builder;

#[track_caller]
fn check(input: &str, expected: &str) {
    assert_eq!(words::person_name(input), expected);
}

#[test]
fn names_read_as_people_say_them() {
    check("Doe^Jane", "Doe, Jane");
    check("Doe^Jane^Q^Dr.^PhD", "Doe, Dr. Jane Q PhD");
    check("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎)");
    check("=山田^太郎", "山田 太郎");
    check("Hong^Gildong==홍^길동", "Hong, Gildong (홍 길동)");
    check("^Jane", "Jane");
    check("NONAME", "NONAME");
    check("", "");
}

#[test]
fn dates_and_times_that_are_none_stand_as_they_came() {
    assert_eq!(words::date("20260131"), "2026-01-31");
    assert_eq!(words::date("2026.01.31"), "2026.01.31");
    assert_eq!(words::date("januar"), "januar");
    assert_eq!(words::date("日本日本"), "日本日本");
    assert_eq!(words::time("140501.123"), "14:05");
    assert_eq!(words::time("1"), "1");
    assert_eq!(words::time("日本"), "日本");
}

#[test]
fn what_peers_sent_is_escaped() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let mut study = Builder::new();
    study
        .text(tag::PATIENT_NAME, hostile)
        .text(tag::PATIENT_ID, hostile)
        .text(tag::STUDY_DESCRIPTION, hostile)
        .text(tag::ACCESSION_NUMBER, hostile);
    let page = study::head(&study.build()).render().into_string();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[test]
fn a_search_is_repeated_in_the_page_escaped() {
    let problem = Problem::Search("<b>bold</b>".to_owned());
    let response = axum::response::IntoResponse::into_response(problem);
    assert_eq!(response.status(), 400);
    assert_eq!(Depth::Series.up(), "../../../");
}
