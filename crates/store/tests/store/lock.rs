//! One headgate a data folder.

use headgate_store::DataLock;

#[test]
fn a_second_headgate_is_told_which_folder() {
    let folder = std::env::temp_dir().join(format!("headgate-lock-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let first = DataLock::acquire(&folder).unwrap();
    let told = DataLock::acquire(&folder).unwrap_err().to_string();
    insta::assert_snapshot!(
        told.replace(&folder.display().to_string(), "DIR"),
        @"failed to lock data folder `DIR`: another headgate holds it; stop that one, or give this one its own folder with --data"
    );
    drop(first);
    DataLock::acquire(&folder).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
