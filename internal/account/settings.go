package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Settings are what an operator may choose. A zero field is its default; a negative duration is off.
type Settings struct {
	// SealKey is the 32-byte key that TOTP secrets are sealed with. It lies in a file of its own, so
	// that a copy of the database alone makes nobody a code. Without it no authenticator app can be
	// enrolled; when it is lost, those that are must be enrolled again.
	SealKey []byte
	// Freeze is for how long an account publishes nothing after its password, address or factors
	// changed. It gives the owner of a stolen account time to read the notice. Default 24 h.
	Freeze time.Duration
	// SessionIdle and SessionLife end a session that is not used, and any. Default 12 h and 7 days.
	SessionIdle, SessionLife time.Duration
	// RecoveryHold is how long a recovery by mail waits between the code and the new password, and
	// FactorHold when the second factors go, too: whoever reads somebody's mail has to wait in the
	// open. Default 24 h and 72 h.
	RecoveryHold, FactorHold time.Duration
	// TokenExpiry is how long a token lives whose maker named no end. Default off: the command line
	// asks for 90 days of its own.
	TokenExpiry time.Duration
	// UnusedAfter is when a token that nobody uses is revoked. Default 90 days.
	UnusedAfter time.Duration
	// Scanners are the keys of those who may report leaked tokens, by their key id.
	Scanners map[string]*ecdsa.PublicKey
}

const (
	day      = 24 * time.Hour
	sealSize = 32 // bytes: AES-256
)

func (st Settings) withDefaults() Settings {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&st.Freeze, day}, {&st.SessionIdle, 12 * time.Hour}, {&st.SessionLife, 7 * day},
		{&st.RecoveryHold, day}, {&st.FactorHold, 3 * day}, {&st.UnusedAfter, 90 * day},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return st
}

// Configure sets the settings; call it before the service is used.
func (s *Service) Configure(st Settings) error {
	s.settings = st.withDefaults()
	if len(st.SealKey) == 0 {
		return nil
	}
	if len(st.SealKey) != sealSize {
		return fmt.Errorf("the key that secrets are sealed with has %d bytes, not %d", len(st.SealKey), sealSize)
	}
	block, err := aes.NewCipher(st.SealKey)
	if err != nil {
		return err
	}
	s.sealer, err = cipher.NewGCM(block)
	return err
}

// ServeAt tells under which address people reach the pages, "https://hullmark.example": passkeys are
// bound to its host. A loopback IP becomes localhost, because browsers bind passkeys to names only.
func (s *Service) ServeAt(publicURL string) error {
	u, err := url.Parse(strings.TrimSuffix(publicURL, "/"))
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not an address that people can open", publicURL)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		u.Host = "localhost"
		if port := portOf(publicURL); port != "" {
			u.Host += ":" + port
		}
	}
	relying, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Hullmark", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Enforce: true, Timeout: ceremonyLifetime},
			Registration: webauthn.TimeoutConfig{Enforce: true, Timeout: ceremonyLifetime},
		},
	})
	if err != nil {
		return fmt.Errorf("passkeys under %s: %w", publicURL, err)
	}
	address := u.String()
	s.relying.Store(relying)
	s.pages.Store(&address)
	return nil
}

func portOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Port()
}

// Pages returns where people reach the pages, without a final slash; "" before ServeAt.
func (s *Service) Pages() string {
	if p := s.pages.Load(); p != nil {
		return *p
	}
	return ""
}
