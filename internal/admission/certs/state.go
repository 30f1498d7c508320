package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	authorityLife = 365 * 24 * time.Hour
	servingLife   = 30 * 24 * time.Hour
	// overlap is how long a new authority is published before it signs: API servers follow the webhook
	// configuration within seconds, and one that was cut off follows when it comes back.
	overlap = time.Hour
	// skew is how far behind another machine's clock may be.
	skew = time.Hour
)

// pair is a certificate and its key, in PEM.
type pair struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key,omitempty"`
}

// state is what lies in the secret.
type state struct {
	Current  pair     `json:"current"`            // signs
	Next     *pair    `json:"next,omitempty"`     // published, and signs after the overlap
	Previous [][]byte `json:"previous,omitempty"` // published until they end
	Serving  pair     `json:"serving"`
}

func parseState(raw []byte) (state, error) {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return state{}, fmt.Errorf("certificates: %w", err)
	}
	return s, nil
}

// advance brings a state to what it has to be at a moment, for a server of these names. changed reports
// whether it is another one.
func (s state) advance(now time.Time, names []string) (out state, changed bool, err error) {
	out = s
	for _, step := range []func(*state, time.Time, []string) (bool, error){
		(*state).replaceAuthority, (*state).announceAuthority, (*state).promoteAuthority, (*state).forgetAuthorities, (*state).replaceServing,
	} {
		did, err := step(&out, now, names)
		if err != nil {
			return s, false, err
		}
		changed = changed || did
	}
	return out, changed, nil
}

// replaceAuthority makes a new authority when there is none that is valid now.
func (s *state) replaceAuthority(now time.Time, _ []string) (bool, error) {
	if cert, err := s.Current.parse(); err == nil && validAt(cert, now) {
		return false, nil
	}
	fresh, err := newAuthority(now)
	if err != nil {
		return false, err
	}
	if len(s.Current.Cert) > 0 {
		s.Previous = append(slices.Clone(s.Previous), s.Current.Cert)
	}
	s.Current, s.Next = fresh, nil
	return true, nil
}

func (s *state) announceAuthority(now time.Time, _ []string) (bool, error) {
	cert, err := s.Current.parse()
	if err != nil || s.Next != nil || !due(cert, now) {
		return false, err
	}
	fresh, err := newAuthority(now)
	if err != nil {
		return false, err
	}
	s.Next = &fresh
	return true, nil
}

func (s *state) promoteAuthority(now time.Time, _ []string) (bool, error) {
	if s.Next == nil {
		return false, nil
	}
	cert, err := s.Next.parse()
	if err != nil || !validAt(cert, now) {
		s.Next = nil // announced again by the next advance
		return true, nil
	}
	if now.Before(cert.NotBefore.Add(skew + overlap)) {
		return false, nil
	}
	s.Previous = append(slices.Clone(s.Previous), s.Current.Cert)
	s.Current, s.Next = *s.Next, nil
	return true, nil
}

func (s *state) forgetAuthorities(now time.Time, _ []string) (bool, error) {
	kept := slices.DeleteFunc(slices.Clone(s.Previous), func(raw []byte) bool {
		cert, err := pair{Cert: raw}.parse()
		return err != nil || !now.Before(cert.NotAfter)
	})
	changed := len(kept) != len(s.Previous)
	s.Previous = kept
	return changed, nil
}

// replaceServing makes a new serving certificate when the one there is is due, was signed by another
// authority, or was made for other names.
func (s *state) replaceServing(now time.Time, names []string) (bool, error) {
	authority, err := s.Current.parse()
	if err != nil {
		return false, err
	}
	cert, err := s.Serving.parse()
	if err == nil && validAt(cert, now) && !due(cert, now) && cert.CheckSignatureFrom(authority) == nil && sameNames(cert, names) {
		return false, nil
	}
	s.Serving, err = newServing(now, names, s.Current)
	return err == nil, err
}

// bundle is what an API server has to trust.
func (s *state) bundle() []byte {
	out := bytes.Clone(s.Current.Cert)
	if s.Next != nil {
		out = append(out, s.Next.Cert...)
	}
	for _, cert := range s.Previous {
		out = append(out, cert...)
	}
	return out
}

func validAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

// due reports whether two thirds of a certificate's life are over.
func due(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotBefore.Add(life * 2 / 3))
}

func sameNames(cert *x509.Certificate, names []string) bool {
	dns, ips := split(names)
	if !slices.Equal(cert.DNSNames, dns) || len(cert.IPAddresses) != len(ips) {
		return false
	}
	for i, ip := range ips {
		if !ip.Equal(cert.IPAddresses[i]) {
			return false
		}
	}
	return true
}

func split(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

func newAuthority(now time.Time) (pair, error) {
	template, err := template("hullmark admission", now, authorityLife)
	if err != nil {
		return pair{}, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	return issue(template, nil, nil)
}

func newServing(now time.Time, names []string, authority pair) (pair, error) {
	parent, err := authority.parse()
	if err != nil {
		return pair{}, err
	}
	key, err := authority.parseKey()
	if err != nil {
		return pair{}, err
	}
	life := min(servingLife, parent.NotAfter.Sub(now)) // a chain is not longer than its root
	template, err := template("hullmark admission webhook", now, life)
	if err != nil {
		return pair{}, err
	}
	template.DNSNames, template.IPAddresses = split(names)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return issue(template, parent, key)
}

func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew).Truncate(time.Second), NotAfter: now.Add(life).Truncate(time.Second),
	}, nil
}

// issue makes a key and signs its certificate, with itself where there is no parent.
func issue(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return pair{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, nil
}

func (p pair) parse() (*x509.Certificate, error) {
	block, _ := pem.Decode(p.Cert)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func (p pair) parseKey() (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(p.Key)
	if block == nil {
		return nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", key)
	}
	return ec, nil
}
