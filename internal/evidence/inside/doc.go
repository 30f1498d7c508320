// Package inside recognises what layers hold. A release is in a layer by metadata (a package database
// or a manifest file names its purl), by content (the layer holds files that it ships), or both; and
// what a layer holds, an image may not, because upper layers delete and replace.
//
// It is the join of the record, written once: package trace asks it to draw where things are, package
// policy to decide from what is in an image. It reads one snapshot of the projections, as the record was
// when it had [Reader.Head] statements; it neither writes nor looks into blobs.
//
// It does not guess: what replaced a file without being indexed is not seen, and a file too small to
// prove anything is not counted.
package inside
