// Package e2e tests the program from outside: the built binary, real package and image clients,
// real processes. Each file under testdata/ is the transcript of one story, to be read from its
// first line; its comment says what it shows.
//
// A client that is not installed skips the transcript that needs it, and says which one. Under
// CI=true nothing may skip, so there a missing client is a failure. `scripts/tools e2e` installs
// them all.
package e2e
