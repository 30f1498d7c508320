// Package install puts the webhook into a cluster and keeps it there: the two webhook configurations
// with the authorities to trust, the secret with the certificates, and the labels of namespaces.
//
// What it writes is the same from every replica, so that none has to be elected. It refuses to exempt
// anything by a label or annotation that a tenant could set.
package install
