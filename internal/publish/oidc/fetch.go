package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fetchTimeout is for configuration and keys together: a person waits for the pipeline.
const fetchTimeout = 5 * time.Second

// fetch gets the keys of an issuer: its configuration, and from where that says the key set.
func fetch(ctx context.Context, iss *Issuer) (map[string]*jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	client, err := clientFor(iss)
	if err != nil {
		return nil, err
	}
	raw, err := get(ctx, client, strings.TrimSuffix(iss.URL, "/")+"/.well-known/openid-configuration", maxDiscovery)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	address, err := parseDiscovery(raw, iss.URL)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if raw, err = get(ctx, client, address, maxKeySet); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return parseKeys(raw)
}

// clientFor makes a client for one fetch. It follows no redirect, asks no proxy (which would look up the
// address in our place) and connects to no address inside the network unless the issuer is said to be there.
func clientFor(iss *Issuer) (*http.Client, error) {
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, iss.Internal)
	}}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: fetchTimeout, DisableKeepAlives: true,
		ResponseHeaderTimeout: fetchTimeout, MaxResponseHeaderBytes: maxDiscovery, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if iss.CA != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(iss.CA)) {
			return nil, errors.New("the issuer's CA has no certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func get(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", answer.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return raw, err
}

// checkURL lets https through, and http to this machine only.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	switch {
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("the address needs a host, and no user or fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("the address must begin with https://")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// inside are addresses that are not of the internet, beside those that netip knows: carriers' networks,
// benchmarks, and IPv6 forms that carry an IPv4 address.
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

// checkAddress is asked with the address that a name turned out to be, right before the connection: what a
// name says later is of no use to anybody.
func checkAddress(address string, internal bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap()
	if internal {
		return nil
	}
	bad := !ip.IsGlobalUnicast() || ip.IsPrivate()
	for _, p := range inside {
		bad = bad || p.Contains(ip)
	}
	if bad {
		return errors.New("the address is inside the network; register the issuer as internal if it is meant to be")
	}
	return nil
}
