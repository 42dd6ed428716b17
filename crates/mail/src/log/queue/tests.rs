//! Queues whose readers are fast, slow, full or gone.

use std::io::{BufRead, BufReader, Read};

use super::super::{Log, Output, Sink};
use super::*;

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A log at level info that writes to `file` by a thread, and its sink.
fn queued(file: File) -> (Log, Arc<Sink>) {
    let sink = Arc::new(Sink::queued(Target::file(file)).unwrap());
    (Log::new(vec![Output::all(Arc::clone(&sink), Level::Info)]), sink)
}

fn pipe() -> (io::PipeReader, File) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, std::os::fd::OwnedFd::from(writer).into())
}

/// The number that ends a line of the storms below.
fn number(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn lines_of_a_storm_by_many_threads_are_whole_and_none_is_missing() {
    const THREADS: usize = 8;
    const LINES: u64 = 300;
    let mut file = tempfile::tempfile().unwrap();
    let (log, sink) = queued(file.try_clone().unwrap());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                for line in 0..LINES {
                    log.line(
                        Level::Info,
                        u64::try_from(thread).ok(),
                        format_args!("{} {line}", "x".repeat(200)),
                    );
                }
            });
        }
    });
    assert!(sink.flush(PATIENCE));
    io::Seek::rewind(&mut file).unwrap();
    let mut next = [0; THREADS];
    for line in BufReader::new(file).lines().map(Result::unwrap) {
        let (_, message) = line.split_once(": *").unwrap();
        let (thread, text) = message.split_once(' ').unwrap();
        assert_eq!(text.split(' ').next(), Some("x".repeat(200).as_str()));
        let next = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(number(text), *next, "in order within a thread");
        *next += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}

#[test]
fn a_reader_that_does_not_read_stalls_nobody_and_what_it_missed_is_counted() {
    // More than fits into the queue, what is being written, and the pipe.
    const LINES: u64 = 20_000;
    let (reader, writer) = pipe();
    let (log, sink) = queued(writer);
    for line in 0..LINES {
        log.line(Level::Info, None, format_args!("{} {line}", "x".repeat(300)));
    }
    assert!(!sink.flush(Duration::ZERO), "the pipe takes no more");
    let read = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.map(|line| line.split_once(": ").unwrap().1.to_owned()).collect::<Vec<String>>()
    });
    assert!(sink.flush(PATIENCE));
    log.line(Level::Info, None, "the reader reads again");
    drop((log, sink));
    let lines = read.join().unwrap();
    assert_eq!(lines.last().unwrap(), "the reader reads again");
    let told: u64 = lines
        .iter()
        .filter_map(|line| line.strip_suffix(" log messages dropped"))
        .map(|count| count.parse::<u64>().unwrap())
        .sum();
    let written =
        lines.iter().filter(|line| line.starts_with('x')).map(|line| number(line)).collect::<Vec<_>>();
    assert!(written.is_sorted(), "lines are in order");
    assert_eq!(u64::try_from(written.len()).unwrap() + told, LINES);
    assert!(told > 0);
}

#[test]
fn a_full_disk_is_left_alone_and_what_it_missed_is_said_once_there_is_room() {
    let (log, sink) = queued(File::options().append(true).open("/dev/full").unwrap());
    let second = || jiff::Timestamp::now().as_second();
    let before = second();
    log.line(Level::Info, None, "lost");
    assert!(sink.flush(PATIENCE));
    assert!(second() > before, "it is tried again only when the second has changed");
    let (reader, writer) = pipe();
    sink.replace(writer);
    log.line(Level::Info, None, "found");
    drop((log, sink));
    let lines: Vec<String> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(" [alert] ") && lines[0].ends_with(": 1 log messages dropped"), "{lines:?}");
    assert!(lines[1].ends_with(": found"), "{lines:?}");
}

#[test]
fn a_reader_that_is_gone_stalls_nobody() {
    let (reader, writer) = pipe();
    drop(reader);
    let (log, sink) = queued(writer);
    log.line(Level::Info, None, "lost");
    assert!(sink.flush(PATIENCE));
}

#[test]
fn lines_said_before_a_replacement_go_to_the_old_file_and_the_rest_to_the_new_one() {
    let (mut old_reader, old) = pipe();
    let (mut new_reader, new) = pipe();
    let (log, sink) = queued(old);
    log.line(Level::Info, None, "first");
    sink.replace(new);
    log.line(Level::Info, None, "second");
    drop((log, sink));
    let mut text = String::new();
    old_reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with(": first\n") && text.lines().count() == 1, "{text}");
    text.clear();
    new_reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with(": second\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn replacing_a_target_that_was_never_written_to_keeps_no_descriptor() {
    let (stuck_reader, stuck) = pipe();
    let (log, sink) = queued(stuck);
    // Until the thread waits for the reader.
    while sink.flush(Duration::ZERO) {
        log.line(Level::Info, None, "x".repeat(1900));
    }
    let (mut reader, writer) = pipe();
    sink.replace(writer);
    sink.replace(tempfile::tempfile().unwrap());
    // The first replacement is closed although the thread has not come to it.
    assert_eq!(reader.read(&mut [0; 16]).unwrap(), 0);
    drop(stuck_reader);
}

#[test]
fn a_line_that_broke_off_is_ended_before_the_next_one() {
    let (mut reader, writer) = pipe();
    let line =
        |text: &str| Line { level: Level::Info, format: Format::Angie, bytes: text.as_bytes().to_vec() };
    let outcome = write_lines(&writer, true, b"notice\n", &[line("a\n"), line("b\n")]);
    assert_eq!((outcome.noticed, outcome.whole, outcome.torn), (true, 2, false));
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "\nnotice\na\nb\n");
}
