// Package report carries statements to the server: from memory to a bounded file, and from the file in
// batches that are repeated until the server says that they are durable.
//
// Taking a statement never waits for the disk or the network, so a crash loses what was taken in the
// last moment before it. When there is no room, ordinary permissions are dropped first, denials and
// what was let past under an exception last, and what was dropped becomes a gap in the record: it
// refuses to lose something without saying so.
package report
