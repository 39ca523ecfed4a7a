//! What is refused before anything is written.

use std::fs;

use crate::folder::{CDS, Folder, RDS, text};

#[test]
fn options_for_a_folder_are_refused_without_one() {
    let folder = Folder::new("options");
    for (options, words) in [
        (
            "--admin localhost:9901",
            "--admin needs --out-dir DIR: phases are",
        ),
        ("--wait 1s -o x", "--wait needs --out-dir DIR: phases are"),
        ("--at-once", "--at-once needs --out-dir DIR: phases are"),
        (
            "--ecds /etc/envoy",
            "--ecds needs --out-dir DIR: the filter's",
        ),
    ] {
        let output = folder.run(&format!("--bootstrap own/envoy.yaml {options}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(words) && said.contains("or leave --"),
            "{said}"
        );
    }
    folder.fails(
        "--admin http://localhost:9901",
        2,
        &["must be HOST:PORT, without a scheme"],
    );
    folder.fails("--admin ::1", 2, &["without brackets: [::1]:PORT"]);
    folder.fails("--wait 1.5s", 2, &["must be a duration such as 500ms"]);
    folder.fails(
        "--at-once --admin localhost:9901",
        2,
        &["cannot be used with"],
    );
    assert!(folder.names().is_empty());
}

#[test]
fn two_files_of_one_name_have_no_place_in_one_folder() {
    let folder = Folder::new("names");
    fs::create_dir(folder.0.join("own/rds")).expect("can be made");
    fs::rename(
        folder.0.join("own/rds.yaml"),
        folder.0.join("own/rds/cds.yaml"),
    )
    .expect("can be moved");
    let lds = folder.read("own/lds.yaml");
    let live = folder.0.join("live/rds.yaml").display().to_string();
    folder.write("own/lds.yaml", &lds.replace(&live, "rds/cds.yaml"));
    folder.fails(
        "",
        1,
        &["--out-dir: cannot contain two files named cds.yaml"],
    );
    assert!(folder.names().is_empty());
}

/// Envoy refuses the whole file, so it is refused here.
#[test]
fn a_file_with_what_envoy_does_not_take_there_is_refused() {
    let folder = Folder::new("kinds");
    let table = RDS.replacen("resources:\n", "", 1);
    folder.write("own/cds.yaml", &format!("{CDS}{table}"));
    folder.fails(
        "",
        1,
        &["resources[1]: is a RouteConfiguration", "own/cds.yaml"],
    );
    folder.write("own/cds.yaml", CDS);
    let second = table.replace("name: table", "name: other");
    let rds = folder.read("own/rds.yaml");
    folder.write("own/rds.yaml", &format!("{rds}{second}"));
    folder.fails("", 1, &["resources[1]: is the second RouteConfiguration"]);
    folder.write("own/rds.yaml", &rds);
    let bootstrap = folder
        .read("own/envoy.yaml")
        .replace("live/lds.yaml", "live/cds.yaml");
    folder.write("own/envoy.yaml", &bootstrap);
    folder.fails("", 1, &["is named for resources of two kinds"]);
}
