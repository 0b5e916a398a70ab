use super::*;

const FORMAT: Format = Format {
    magic: *b"TEST",
    version: 1,
};

const RECORDS: [&[u8]; 3] = [b"first", b"the second, which is longer", b"3"];

fn open(directory: &Path) -> RecordLog {
    RecordLog::new(Box::new(LogFile::new(directory, "log")), FORMAT)
}

fn load(directory: &Path) -> (Vec<Vec<u8>>, Ending) {
    let mut records = Vec::new();
    let ending = open(directory)
        .load(|record| records.push(record.to_vec()))
        .unwrap();
    (records, ending)
}

/// A log with the three records, and the bytes of its file.
fn written(directory: &Path) -> Vec<u8> {
    let mut log = open(directory);
    log.load(|_| {}).unwrap();
    for record in RECORDS {
        log.append(record).unwrap();
    }
    log.sync().unwrap();
    fs::read(directory.join("log")).unwrap()
}

#[test]
fn what_was_appended_is_read_back_in_order() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(load(directory.path()), (Vec::new(), Ending::Whole));
    written(directory.path());
    let (records, ending) = load(directory.path());
    assert_eq!(
        (records, ending),
        (RECORDS.map(<[u8]>::to_vec).to_vec(), Ending::Whole)
    );
}

#[test]
fn a_log_of_version_1_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = written(directory.path());
    let check = &Digest::of(b"first").0;
    let expected = [b"TEST\x01\0\0\0\x05\xff\xff\xff\xfa".as_slice(), check, b"first"].concat();
    assert!(bytes.starts_with(&expected));
}

#[test]
fn a_file_cut_anywhere_gives_the_whole_records_before_the_cut_and_takes_more() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = written(directory.path());
    for length in 0..bytes.len() {
        fs::write(directory.path().join("log"), &bytes[..length]).unwrap();
        let (records, ending) = load(directory.path());
        assert!(
            RECORDS.iter().zip(&records).all(|(one, other)| one == other),
            "{length}"
        );
        assert!(
            records.len() < RECORDS.len() && ending != Ending::Damaged,
            "{length}"
        );

        let mut log = open(directory.path());
        log.load(|_| {}).unwrap();
        log.append(b"more").unwrap();
        let (after, ending) = load(directory.path());
        assert_eq!(ending, Ending::Whole, "{length}");
        assert_eq!(after, [records, vec![b"more".to_vec()]].concat(), "{length}");
    }
}

#[test]
fn any_flipped_bit_ends_the_log_before_it_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = written(directory.path());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(directory.path().join("log"), &damaged).unwrap();
        let (records, ending) = load(directory.path());
        // Only damage in the last record may have been a power cut.
        let last = bytes.len() - RECORDS[2].len() - Digest::BYTES;
        assert!(
            ending == Ending::Damaged || ending == Ending::Torn && bit / 8 >= last,
            "bit {bit}"
        );
        assert!(records.len() < RECORDS.len(), "bit {bit}");
        assert!(
            RECORDS.iter().zip(&records).all(|(one, other)| one == other),
            "bit {bit}"
        );
    }
}

#[test]
fn a_file_of_a_damaged_beginning_and_nothing_else_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    for bytes in [b"TESU\x01".as_slice(), b"TEST\x02\0", b"X"] {
        fs::write(directory.path().join("log"), bytes).unwrap();
        assert_eq!(load(directory.path()), (Vec::new(), Ending::Damaged), "{bytes:?}");
        // And cut off, so that it is told of once.
        assert_eq!(load(directory.path()), (Vec::new(), Ending::Whole), "{bytes:?}");
    }
}

#[test]
fn a_file_that_the_power_left_full_of_zeros_is_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = written(directory.path());
    bytes.resize(bytes.len() + 4096, 0);
    fs::write(directory.path().join("log"), &bytes).unwrap();
    assert_eq!(load(directory.path()).0.len(), RECORDS.len());
}

#[test]
fn a_file_of_another_kind_or_version_counts_as_damaged_and_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = written(directory.path());
    bytes[4] = 2;
    fs::write(directory.path().join("log"), &bytes).unwrap();
    let mut log = open(directory.path());
    assert_eq!(
        log.load(|_| panic!("no record is believed")).unwrap(),
        Ending::Damaged
    );
    log.append(b"anew").unwrap();
    assert_eq!(load(directory.path()), (vec![b"anew".to_vec()], Ending::Whole));
}

#[test]
fn records_larger_than_one_reading_come_back_and_impossible_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    log.load(|_| {}).unwrap();
    let records: Vec<Vec<u8>> = (1_u8..40)
        .map(|byte| vec![byte; usize::from(byte) * 6000])
        .collect();
    for record in &records {
        log.append(record).unwrap();
    }
    assert!(log.append(&[]).is_err());
    assert!(log.append(&vec![0; MAX_RECORD_BYTES + 1]).is_err());
    assert_eq!(load(directory.path()), (records, Ending::Whole));
}

#[test]
fn a_successor_takes_the_place_of_the_file_with_what_was_appended_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path());
    let mut log = open(directory.path());
    log.load(|_| {}).unwrap();
    log.begin_rewrite().unwrap();
    log.append_next(b"kept").unwrap();
    log.append(b"new").unwrap();
    // Until it is finished a crash leaves the old file, with everything.
    assert_eq!(load(directory.path()).0.len(), RECORDS.len() + 1);
    log.finish_rewrite().unwrap();
    log.append(b"newer").unwrap();
    let expected: Vec<Vec<u8>> = [b"kept".as_slice(), b"new", b"newer"]
        .map(<[u8]>::to_vec)
        .to_vec();
    assert_eq!(load(directory.path()), (expected, Ending::Whole));
    assert_eq!(
        log.bytes(),
        fs::metadata(directory.path().join("log")).unwrap().len()
    );
}

/// A medium that takes only some of the bytes, once.
#[derive(Debug)]
struct Full {
    file: LogFile,
    full: bool,
}

impl Medium for Full {
    fn path(&self) -> &Path {
        self.file.path()
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.full) {
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.cut(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
    fn begin_next(&mut self) -> io::Result<()> {
        self.file.begin_next()
    }
    fn append_next(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append_next(bytes)
    }
    fn adopt_next(&mut self) -> io::Result<()> {
        self.file.adopt_next()
    }
}

#[test]
fn what_is_appended_after_a_full_disk_is_not_lost_behind_half_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let file = LogFile::new(directory.path(), "log");
    let mut log = RecordLog::new(Box::new(Full { file, full: true }), FORMAT);
    log.load(|_| {}).unwrap();
    let refused = log.append(b"refused").unwrap_err().to_string();
    assert!(
        refused.starts_with("append to ") && refused.contains("/log"),
        "{refused}"
    );
    log.append(b"taken").unwrap();
    assert_eq!(load(directory.path()), (vec![b"taken".to_vec()], Ending::Whole));
}
