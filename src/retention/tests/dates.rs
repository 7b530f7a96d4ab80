use super::*;

#[track_caller]
fn check_date(text: &str, earliest: &str, latest: &str) {
    let date: PartialDate = text.parse().unwrap();
    assert_eq!((date.earliest(), date.latest()), (day(earliest), day(latest)));
}

#[test]
fn dates_may_be_known_in_part() {
    check_date("2010", "2010-01-01", "2010-12-31");
    check_date("2012-02", "2012-02-01", "2012-02-29");
    check_date("201202", "2012-02-01", "2012-02-29");
    check_date("20120229", "2012-02-29", "2012-02-29");
    for wrong in [
        "",
        "201",
        "2010-2",
        "2010-02-30",
        "20100230",
        "0000",
        "2010/01/01",
        "2010-1-01",
        "2O10",
        "2010-01-01T00",
        "-201",
        "２０１０",
    ] {
        assert!(wrong.parse::<PartialDate>().is_err(), "{wrong}");
    }
    for text in ["2010", "2010-02", "2010-02-28"] {
        assert_eq!(text.parse::<PartialDate>().unwrap().to_string(), text);
    }
}

#[track_caller]
fn check_period(from: &str, period: &str, expected: &str) {
    assert_eq!(period.parse::<Period>().unwrap().after(day(from)), day(expected));
}

#[test]
fn periods_are_those_of_the_calendar() {
    check_period("2020-02-29", "P5Y", "2025-03-01");
    check_period("2020-02-29", "P4Y", "2024-02-29");
    check_period("2021-01-31", "P1M", "2021-03-01");
    check_period("2021-12-15", "P60M", "2026-12-15");
    check_period("2021-12-15", "P14D", "2021-12-29");
    check_period("2021-12-15", "P2W", "2021-12-29");
    check_period("2020-02-28", "P1Y1D", "2021-03-01");
    check_period("9999-01-01", "P5Y", "9999-12-31");
    for wrong in [
        "",
        "P",
        "5Y",
        "P5",
        "PY",
        "P5Y3Y",
        "P1M2Y",
        "P-5Y",
        "P1.5Y",
        "PT1H",
        "P1000Y",
        "P99999999999Y",
        "p5y",
    ] {
        assert!(wrong.parse::<Period>().is_err(), "{wrong}");
    }
    for text in ["P5Y", "P60M", "P1Y6M", "P14D", "P0D"] {
        assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
    }
}

#[test]
fn years_of_age_count_birthdays() {
    assert_eq!(full_years(day("2004-03-10"), day("2022-03-09")), 17);
    assert_eq!(full_years(day("2004-03-10"), day("2022-03-10")), 18);
    assert_eq!(full_years(day("2004-02-29"), day("2022-02-28")), 17);
    assert!(full_years(day("2022-02-28"), day("2021-02-28")) < 0);
}
