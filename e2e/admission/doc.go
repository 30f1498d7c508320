// Package admission tests the webhook in a real API server, with etcd behind it: what is asked, what
// comes back to the client, and what happens when the webhook's server or its configuration is gone.
// It refuses to fake the API server: what is not installed is skipped, and fails under CI=true.
package admission
