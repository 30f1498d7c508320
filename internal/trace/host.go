package trace

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// WithHosts returns a tracer that takes image references with these registry hosts ("host" or
// "host:port") for its own, besides the hosts that the tracer has. Loopback addresses are always
// its own. A reference with any other host is answered with code trace-unknown: an image of the
// same name in another registry is another image.
func (t *Tracer) WithHosts(hosts ...string) *Tracer {
	c := *t
	c.hosts = slices.Clone(t.hosts)
	for _, host := range hosts {
		if host != "" {
			c.hosts = append(c.hosts, plainHost(host))
		}
	}
	return &c
}

// mine reports whether a reference with that host means this server.
func (t *Tracer) mine(host string) bool {
	return host == "" || loopback(host) || slices.Contains(t.hosts, plainHost(host))
}

// plainHost is host without what makes no difference: case and the ports that HTTP and HTTPS imply.
func plainHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

func loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, 6.3
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.IsLoopback()
}

func foreign(q Query) error {
	return fault.New(fault.NotFound, "trace-unknown",
		"%q is an image of the registry %s, and the images of that registry are not known here; leave the host out to ask for the image of that name here",
		clip(q.Text), clip(q.Host))
}

// Ours fails with code trace-unknown when q names an image of another registry.
func (t *Tracer) Ours(q Query) error {
	if !t.mine(q.Host) {
		return foreign(q)
	}
	return nil
}
