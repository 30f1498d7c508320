package mail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/mail/mailtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// certificate makes a self-signed certificate for 127.0.0.1.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

var letter = mail.Message{To: "alice@example.com", Subject: "Ein neuer Schlüssel", Text: "Hello Alice,\n\na key was added – was that you?\n.\n"}

func TestARealServerTakesMailInEveryMode(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	for mode, o := range map[string]mailtest.Options{
		mail.None:     {Mode: "none"},
		mail.StartTLS: {Mode: "starttls", Certificate: cert, Key: key, Password: "open sesame"},
		mail.TLS:      {Mode: "tls", Certificate: cert, Key: key},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			sink := mailtest.Start(t, o)
			c := mail.Config{Server: sink.Address, Security: mode, From: "Hullmark <hullmark@example.com>", CAFile: cert}
			if o.Password != "" {
				c.User, c.PasswordFile = "hullmark", write(t, "password", o.Password+"\n")
			}
			s, err := mail.New(c)
			must(t, err)
			must(t, s.Send(t.Context(), letter))
			got := sink.Wait(t, letter.To, "was that you")
			if strings.TrimSpace(got.Body) != strings.TrimSpace(letter.Text) {
				t.Errorf("the text is %q", got.Body)
			}
			if got.Get("From") != `"Hullmark" <hullmark@example.com>` || got.Get("Auto-Submitted") != "auto-generated" || got.Get("Message-Id") == "" || got.Get("Date") == "" {
				t.Errorf("headers are %v", got.Header)
			}
			if wantTLS := map[bool]string{true: "True", false: "False"}[mode != mail.None]; got.Get("X-TLS") != wantTLS || got.Get("X-Login") != map[bool]string{true: "True", false: "False"}[o.Password != ""] {
				t.Errorf("TLS %s, login %s", got.Get("X-TLS"), got.Get("X-Login"))
			}
		})
	}
}

func TestAServerThatOffersNoTLSOrAnotherCertificateGetsNothing(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	for name, sink := range map[string]*mailtest.Sink{
		"no TLS": mailtest.Start(t, mailtest.Options{}), "another certificate": mailtest.Start(t, mailtest.Options{Mode: "starttls", Certificate: cert, Key: key}),
	} {
		s, err := mail.New(mail.Config{Server: sink.Address, From: "hullmark@example.com"})
		must(t, err)
		err = s.Send(t.Context(), letter)
		if err == nil || mail.Permanent(err) || len(sink.Messages(t)) != 0 {
			t.Errorf("%s: %v, %d messages", name, err, len(sink.Messages(t)))
		}
	}
}

func TestWhatAServerRefusesForGoodIsTold(t *testing.T) {
	t.Parallel()
	sink := mailtest.Start(t, mailtest.Options{})
	s, err := mail.New(mail.Config{Server: sink.Address, Security: mail.None, From: "hullmark@example.com"})
	must(t, err)
	for to, permanent := range map[string]bool{"gone@example.com": true, "later@example.com": false} {
		m := letter
		m.To = to
		if err := s.Send(t.Context(), m); err == nil || mail.Permanent(err) != permanent {
			t.Errorf("%s: permanent is %v: %v", to, mail.Permanent(err), err)
		}
	}
}

func TestNobodyWritesHeadersThroughAnAddressOrASubject(t *testing.T) {
	t.Parallel()
	sink := mailtest.Start(t, mailtest.Options{})
	s, err := mail.New(mail.Config{Server: sink.Address, Security: mail.None, From: "hullmark@example.com"})
	must(t, err)
	for _, m := range []mail.Message{
		{To: "a@example.com\r\nBcc: b@example.com", Subject: "x"}, {To: "a@example.com, b@example.com", Subject: "x"},
		{To: "A <a@example.com>", Subject: "x"}, {To: "a@example.com", Subject: "x\r\nBcc: b@example.com"},
		{To: "a@example.com", Subject: "x\u2028y"}, {To: "a@example.com"}, {To: "", Subject: "x"}, {To: "a@example.com\x00", Subject: "x"},
	} {
		if err := s.Send(t.Context(), m); !mail.Permanent(err) {
			t.Errorf("%q was taken: %v", m, err)
		}
	}
	if n := len(sink.Messages(t)); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

func TestConfigurationsThatCannotWorkFailWhenBuilt(t *testing.T) {
	t.Parallel()
	exposed := write(t, "exposed", "secret")
	must(t, os.Chmod(exposed, 0o644))
	from := "hullmark@example.com"
	for name, c := range map[string]mail.Config{
		"no port":                {Server: "mail.example.com", From: from},
		"no sender":              {Server: "mail.example.com:25"},
		"two senders":            {Server: "mail.example.com:25", From: "a@example.com, b@example.com"},
		"a header in the sender": {Server: "mail.example.com:25", From: "A\r\nB: c <a@example.com>"},
		"in clear, far away":     {Server: "mail.example.com:25", From: from, Security: mail.None},
		"another security":       {Server: "mail.example.com:25", From: from, Security: "ssl"},
		"a user without secret":  {Server: "mail.example.com:25", From: from, User: "hullmark"},
		"a secret that is open":  {Server: "mail.example.com:25", From: from, User: "hullmark", PasswordFile: exposed},
		"no certificates":        {Server: "mail.example.com:25", From: from, CAFile: exposed},
	} {
		if _, err := mail.New(c); fault.As(err).Code != "mail-config-invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAConfigurationFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := write(t, "mail.yaml", "server: mail.example.com:587\nuser: hullmark\npasswordFile: secret\nfrom: hullmark@example.com\n")
	c, err := mail.Load(good)
	must(t, err)
	if want := filepath.Join(filepath.Dir(good), "secret"); c.PasswordFile != want || c.Server != "mail.example.com:587" {
		t.Errorf("read %+v", c)
	}
	for _, file := range []string{write(t, "bad.yaml", "sever: x\n"), filepath.Join(t.TempDir(), "none")} {
		if _, err := mail.Load(file); fault.As(err).Code != "mail-config-invalid" {
			t.Errorf("%s: %v", file, err)
		}
	}
}
