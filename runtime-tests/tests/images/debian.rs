//! A real image: Debian with nginx, whose layers umoci has written, and skopeo as `docker save` does.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use runtime_tests::{Bundle, debian_images, wait_until};
use serde_json::{Value, json};

use crate::home::sh;

/// A bundle whose container serves what is on its disk at a port of the host.
fn bundle(home: &Bundle, image: &str, name: &str, port: u16) -> Value {
    let site = format!("server {{ listen 127.0.0.1:{port}; root /var/www/html; index index.nginx-debian.html; }}");
    fs::write(home.home().join("site"), site).unwrap();
    // The path in the image is a link.
    let volume = format!("{}:/etc/nginx/sites-enabled/default:ro", home.home().join("site").display());
    let words = ["bundle", "--store", "store", "--net", "host", "--volume", &volume, image, name];
    home.finish(home.command(&words).current_dir(home.home())).success();
    serde_json::from_slice(&fs::read(home.home().join(name).join("config.json")).unwrap()).unwrap()
}

fn status(home: &Bundle) -> String {
    let state: Value = serde_json::from_str(&home.call(&["state", home.id()]).success()).unwrap();
    state["status"].as_str().unwrap().to_owned()
}

#[test]
fn nginx_of_debian_serves_a_page() {
    let home = Bundle::base();
    let layout = format!("oci:{}:nginx", debian_images().display());
    sh(home.home(), &format!("skopeo copy -q {layout} docker-archive:nginx.tar:web:1"));
    for (name, image) in [("layout", layout.as_str()), ("archive", "docker-archive:nginx.tar:web:1")] {
        // Free, for it was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = bundle(&home, image, name, port);
        assert_eq!(config["process"]["args"], json!(["nginx", "-g", "daemon off;"]));
        home.call(&["run", "-d", "-b", home.home().join(name).to_str().unwrap(), home.id()]).success();
        let fetch = format!("curl -sS --fail --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:{port}/");
        assert!(sh(home.home(), &fetch).contains("Welcome to nginx"), "{name}");
        let missing = format!("curl -sS -o page -w '%{{http_code}}' http://127.0.0.1:{port}/none");
        assert_eq!(sh(home.home(), &missing), "404");
        // The image says which signal asks it to end what it does.
        let signal = config["annotations"]["org.opencontainers.image.stopSignal"].as_str().unwrap();
        assert_eq!(signal, "SIGQUIT");
        home.call(&["kill", home.id(), signal]).success();
        wait_until("the end of nginx", || status(&home) == "stopped");
        home.call(&["delete", home.id()]).success();
        home.assert_nothing_left();
        // What it has written is in the bundle.
        let log = fs::read_to_string(home.home().join(name).join("private/upper/var/log/nginx/access.log")).unwrap();
        assert!(log.contains("GET / HTTP/1.1\" 200") && log.contains("GET /none HTTP/1.1\" 404"), "{log}");
    }
    // Both forms have the same layers, Debian and nginx, and they were unpacked once.
    assert_eq!(layers(home.home()), 2);
    home.finish(home.command(&["image", "--store", "store", "verify"]).current_dir(home.home())).success();
}

fn layers(home: &Path) -> usize {
    fs::read_dir(home.join("store/layers")).unwrap().count()
}
