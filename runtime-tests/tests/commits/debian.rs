//! A real image that is changed: Debian with MariaDB, whose data become a layer.

use runtime_tests::{debian_images, wait_until};

use crate::home::Home;

impl Home {
    fn bundle_as_it_is(&self, image: &str, name: &str) {
        self.call(&["bundle", "--store", "store", image, name]).success();
    }

    /// Starts the database of a bundle, and waits until it answers.
    fn start_database(&self, bundle: &str) {
        self.call(&["run", "-d", "-b", bundle, self.0.id()]).success();
        let ping = ["exec", self.0.id(), "mariadb-admin", "--socket=/tmp/socket", "ping"];
        wait_until("the database", || self.call(&ping).status == 0);
    }

    fn query(&self, statement: &str) -> String {
        let client = ["mariadb", "--socket=/tmp/socket", "--skip-column-names", "--batch", "--execute", statement];
        self.call(&[&["exec", self.0.id()], &client[..]].concat()).success()
    }

    fn stop_database(&self) {
        self.call(&["kill", self.0.id(), "TERM"]).success();
        wait_until("the end of the database", || self.call(&["state", self.0.id()]).success().contains("\"stopped\""));
        self.call(&["delete", self.0.id()]).success();
        self.0.assert_nothing_left();
    }
}

#[test]
fn rows_of_a_database_are_in_the_image_that_is_made_of_it() {
    let home = Home::new();
    let image = format!("oci:{}:mariadb", debian_images().display());
    home.bundle_as_it_is(&image, "one");
    home.start_database("one");
    home.query("CREATE DATABASE shop; CREATE TABLE shop.parts (id INT PRIMARY KEY, name TEXT)");
    home.query("INSERT INTO shop.parts VALUES (7, 'wheel'), (8, 'axle')");
    home.stop_database();
    assert!(home.call(&["diff", "one/"]).success().contains("A /var/lib/mysql/shop/parts.ibd\n"));
    home.commit(&["--message", "two parts"], "one/", "oci:img:shop");
    home.bundle_as_it_is("oci:img:shop", "two");
    home.start_database("two");
    assert_eq!(home.query("SELECT id, name FROM shop.parts ORDER BY id"), "7\twheel\n8\taxle\n");
    home.query("DELETE FROM shop.parts WHERE id = 7");
    home.stop_database();
    // A third layer on top of that; the first two are those that Debian's tools have made.
    home.commit(&[], "two/", "docker-archive:shop.tar:shop");
    home.bundle_as_it_is("docker-archive:shop.tar", "three");
    home.start_database("three");
    assert_eq!(home.query("SELECT name FROM shop.parts"), "axle\n");
    home.stop_database();
    let layers = |image: &str| home.inspect(image)["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(layers("docker-archive:shop.tar")[..3], layers("oci:img:shop")[..]);
    assert_eq!(layers("oci:img:shop")[..2], layers(&image)[..]);
}
