//! The table as a WADL document (PS3.18 §8.9.3).

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{super::base_url::BaseUrl, services::SERVICES};

pub(super) fn write(base: &BaseUrl) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<application xmlns=\"http://wadl.dev.java.net/2009/02\">\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<resources base=\"{}\">", escape(base.as_str()));
    let mut paths: Vec<&str> = SERVICES.iter().map(|service| service.path).collect();
    paths.dedup();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let _ = writeln!(out, "<resource path=\"{}\">", escape(path.trim_start_matches('/')));
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            let _ = writeln!(
                out,
                "<param name=\"{}\" style=\"template\" required=\"true\"/>",
                escape(name)
            );
        }
        for service in SERVICES.iter().filter(|service| service.path == path) {
            let _ = writeln!(out, "<method name=\"{}\">", service.method.to_ascii_uppercase());
            let _ = writeln!(out, "<doc>{}</doc>", escape(service.summary));
            out.push_str("<request>\n");
            for (name, about) in service.kind.parameters() {
                let _ = writeln!(
                    out,
                    "<param name=\"{}\" style=\"query\"><doc>{}</doc></param>",
                    escape(*name),
                    escape(*about)
                );
            }
            for media_type in service.kind.takes() {
                let _ = writeln!(out, "<representation mediaType=\"{}\"/>", escape(*media_type));
            }
            out.push_str("</request>\n<response>\n");
            for media_type in service.kind.gives() {
                let _ = writeln!(out, "<representation mediaType=\"{}\"/>", escape(*media_type));
            }
            out.push_str("</response>\n</method>\n");
        }
        out.push_str("</resource>\n");
    }
    out.push_str("</resources>\n</application>\n");
    out
}
