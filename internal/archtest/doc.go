// Package archtest keeps the shape of the program as tests: imports follow the arrows, packages
// have docs, error codes have pages, files and functions stay readable. It holds no other code.
package archtest
