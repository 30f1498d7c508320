// Package snapshot is what an admission controller knows about the record: the policies in force, the
// exceptions, the recalls, and for every image what the record says about it. A watch on the server
// keeps it current; a file carries it over restarts; while the server is away it stays as it is and
// says how old it is.
//
// Reading it takes no disk and no network: a request that waits for a decision never waits for
// either. It refuses to be used before it was whole once, and it never forgets a good set of
// policies for one that does not compile.
package snapshot
