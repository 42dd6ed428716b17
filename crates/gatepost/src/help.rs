//! The texts of `-h`, `-v`, `-V`, `-m` and `--build-env`. Each ends with its line end; all go to standard error.

use mail::flavour::Flavour;

use crate::defaults;

/// Our version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Angie that we follow, and the nginx that it follows.
const ANGIE: (&str, &str) = ("1.13.0", "1.31.2");

/// The nginx that we follow.
const NGINX: &str = "1.31.5";

/// The modules of the originals that are built in here, by the names that scripts look for.
const MODULES: [&str; 11] = [
    "ngx_core_module",
    "ngx_errlog_module",
    "ngx_conf_module",
    "ngx_events_module",
    "ngx_mail_module",
    "ngx_mail_core_module",
    "ngx_mail_pop3_module",
    "ngx_mail_imap_module",
    "ngx_mail_smtp_module",
    "ngx_mail_auth_http_module",
    "ngx_mail_proxy_module",
];

/// How a start is told in a log: `gatepost/0.1.0`.
pub(crate) fn name_and_version(flavour: Flavour) -> String {
    match flavour {
        Flavour::Gatepost => format!("gatepost/{VERSION}"),
        Flavour::Angie => format!("Angie/{} (gatepost {VERSION})", ANGIE.0),
        Flavour::Nginx => format!("nginx/{NGINX} (gatepost {VERSION})"),
    }
}

/// The version that the title of a process shows: nginx shows none.
pub(crate) const fn titled_version(flavour: Flavour) -> Option<&'static str> {
    match flavour {
        Flavour::Gatepost => Some(VERSION),
        Flavour::Angie => Some(ANGIE.0),
        Flavour::Nginx => None,
    }
}

/// The line of `-v`.
///
/// Called by the name of an original it tells that one's version, for scripts, and ours where the original has
/// the name of its build.
pub(crate) fn version(flavour: Flavour) -> String {
    let program = match flavour {
        Flavour::Gatepost => "gatepost",
        Flavour::Angie => "Angie",
        Flavour::Nginx => "nginx",
    };
    format!("{program} version: {}\n", name_and_version(flavour))
}

/// The lines of `-V`.
pub(crate) fn build(flavour: Flavour) -> String {
    let followed = match flavour {
        Flavour::Angie => format!("nginx version: nginx/{}\n", ANGIE.1),
        Flavour::Gatepost | Flavour::Nginx => String::new(),
    };
    format!("{}{followed}configure arguments: {}\n", version(flavour), arguments(flavour))
}

/// How an original would have been configured to be like this, for scripts that look for file names.
fn arguments(flavour: Flavour) -> String {
    let prefix = defaults::prefix(flavour);
    let paths = [
        ("prefix", prefix.clone()),
        ("conf-path", prefix.join(defaults::configuration(flavour))),
        ("error-log-path", defaults::error_log(flavour)),
        ("pid-path", defaults::pid(flavour)),
    ];
    paths.map(|(name, path)| format!("--{name}={} ", path.display())).concat() + "--with-mail"
}

/// The lines of `-m`.
pub(crate) fn modules() -> String {
    MODULES.map(|name| format!("{name}\n")).concat()
}

/// The lines of `--build-env`.
pub(crate) fn environment(flavour: Flavour) -> String {
    let rows = [
        ("VERSION", VERSION.to_owned()),
        ("ARCH", std::env::consts::ARCH.to_owned()),
        ("OS", std::env::consts::OS.to_owned()),
        ("CONFIGURE_ARGUMENTS", arguments(flavour)),
    ];
    rows.map(|(name, value)| format!("{name}: {value}\n")).concat()
}

/// The lines of `--log-filters`.
pub(crate) fn log_filters() -> String {
    let fields = mail::log::NAMES.map(|(name, module)| format!("  {name} ({module} module)\n")).concat();
    format!("Supported log filters:\n  logline\n  message\n  tag\n{fields}")
}

/// What `-h` shows: the version line, then the usage.
pub(crate) fn help(flavour: Flavour) -> String {
    // nginx leaves no blank line between them.
    let usage = usage(flavour);
    version(flavour) + if flavour == Flavour::Nginx { usage.trim_start() } else { &usage }
}

/// What follows the message of a bad option.
pub(crate) fn usage(flavour: Flavour) -> String {
    format!("\n{}\n{}\n{}", synopsis(flavour), options(flavour), long_options(flavour))
}

fn synopsis(flavour: Flavour) -> String {
    let program = flavour.program();
    let indent = " ".repeat("Usage: ".len() + program.len());
    let (letters, more) = match flavour {
        Flavour::Gatepost => (
            "?hvVtTqmM",
            format!(
                "{indent} [--help] [--build-env] [--log-level=level] [--log-filters]\n       {program} demo\n"
            ),
        ),
        Flavour::Angie => {
            ("?hvVtTqmM", format!("{indent} [--help] [--build-env] [--log-level=level] [--log-filters]\n"))
        }
        Flavour::Nginx => ("?hvVtTq", String::new()),
    };
    format!(
        "Usage: {program} [-{letters}] [-s signal] [-p prefix]\n\
         {indent} [-e filename] [-c filename] [-g directives]\n\
         {more}"
    )
}

fn options(flavour: Flavour) -> String {
    let [prefix, error_log, configuration] =
        [defaults::prefix, defaults::error_log, defaults::configuration].map(|path| path(flavour));
    let (help, modules) = match flavour {
        Flavour::Nginx => ("-?,-h         : this help", ""),
        _ => (
            "-?,-h,--help  : this help",
            "  -m            : show built-in modules and exit\n  \
             -M            : show built-in and loaded modules then exit\n",
        ),
    };
    let mut text = format!(
        "Options:\n  \
         {help}\n  \
         -v            : show version and exit\n  \
         -V            : show version and configure options then exit\n\
         {modules}  \
         -t            : test configuration and exit\n  \
         -T            : test configuration, dump it and exit\n  \
         -q            : suppress non-error messages during configuration testing\n  \
         -s signal     : send signal to a master process: stop, quit, reopen, reload\n  \
         -p prefix     : set prefix path (default: {})\n  \
         -e filename   : set error log file (default: {})\n  \
         -c filename   : set configuration file (default: {})\n  \
         -g directives : set global directives out of configuration file\n",
        prefix.display(),
        error_log.display(),
        configuration.display(),
    );
    if flavour == Flavour::Gatepost {
        text += "\n  demo          : run a mail store with the proxy in front of it, to try it out\n";
    }
    text
}

fn long_options(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gatepost | Flavour::Angie => {
            "  --build-env       : show build environment and exit\n  \
             --log-filters     : show log filters and exit\n  \
             --log-level=level : set initial error log level (default: notice)\n\n"
        }
        Flavour::Nginx => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of Angie 1.13.0 but for its version line and paths.
    const ANGIE_USAGE: &str = "
Usage: angie [-?hvVtTqmM] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]
             [--help] [--build-env] [--log-level=level] [--log-filters]

Options:
  -?,-h,--help  : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -m            : show built-in modules and exit
  -M            : show built-in and loaded modules then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: /etc/angie/)
  -e filename   : set error log file (default: /var/log/angie/error.log)
  -c filename   : set configuration file (default: angie.conf)
  -g directives : set global directives out of configuration file

  --build-env       : show build environment and exit
  --log-filters     : show log filters and exit
  --log-level=level : set initial error log level (default: notice)

";

    /// The text of nginx 1.22 but for its version line and paths.
    const NGINX_USAGE: &str = "Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: /etc/nginx/)
  -e filename   : set error log file (default: /var/log/nginx/error.log)
  -c filename   : set configuration file (default: nginx.conf)
  -g directives : set global directives out of configuration file

";

    #[test]
    fn called_as_angie_the_help_is_angies() {
        assert_eq!(help(Flavour::Angie), version(Flavour::Angie) + ANGIE_USAGE);
        assert_eq!(usage(Flavour::Angie), ANGIE_USAGE);
    }

    #[test]
    fn called_as_nginx_the_help_is_nginxs() {
        assert_eq!(help(Flavour::Nginx), version(Flavour::Nginx) + NGINX_USAGE);
    }

    #[test]
    fn our_help_names_what_is_ours() {
        let help = help(Flavour::Gatepost);
        assert!(
            help.starts_with(&format!(
                "gatepost version: gatepost/{VERSION}\n\nUsage: gatepost [-?hvVtTqmM] "
            ))
        );
        assert!(help.contains("\n       gatepost demo\n"));
        assert!(help.contains("(default: /etc/gatepost/)"));
        assert!(help.contains("--log-filters     : show log filters and exit\n"));
        assert!(help.ends_with("(default: notice)\n\n"));
    }

    #[test]
    fn the_version_line_is_what_scripts_look_for() {
        assert_eq!(version(Flavour::Gatepost), format!("gatepost version: gatepost/{VERSION}\n"));
        assert_eq!(version(Flavour::Angie), format!("Angie version: Angie/1.13.0 (gatepost {VERSION})\n"));
        assert_eq!(version(Flavour::Nginx), format!("nginx version: nginx/1.31.5 (gatepost {VERSION})\n"));
    }

    #[test]
    fn the_build_tells_where_files_are() {
        assert_eq!(
            build(Flavour::Nginx).lines().last(),
            Some(
                "configure arguments: --prefix=/etc/nginx/ --conf-path=/etc/nginx/nginx.conf \
                 --error-log-path=/var/log/nginx/error.log --pid-path=/run/nginx.pid --with-mail"
            )
        );
        assert_eq!(build(Flavour::Angie).lines().nth(1), Some("nginx version: nginx/1.31.2"));
        assert!(build(Flavour::Gatepost).starts_with(&version(Flavour::Gatepost)));
    }

    #[test]
    fn modules_and_environment_are_lines() {
        assert!(modules().contains("ngx_mail_core_module\n"));
        for line in environment(Flavour::Gatepost).lines() {
            assert!(line.split_once(": ").is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()));
        }
    }
}
