// Package crash kills a server under load, again and again, and checks what is left: every
// acknowledged blob and statement is there, the log extends every checkpoint that was ever handed
// out, and no release is visible in part. It holds tests only.
package crash
