package oidc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
)

func TestKeysAreFetchedFromWhereTheIssuersConfigurationSays(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	keys, err := fetch(t.Context(), &Issuer{URL: i.URL, Internal: true})
	if err != nil || keys["rsa-1"] == nil || keys["ec-1"] == nil {
		t.Errorf("got %v, %v", keys, err)
	}
}

func TestWhatAnIssuerMustNotAnswerIsRefused(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request){
		"a redirect of its configuration": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		"a redirect of its keys": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "configuration") {
				configuration(w, i.URL, "http://"+r.Host+"/keys")
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"the configuration of another": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			configuration(w, "https://token.actions.githubusercontent.com", "http://"+r.Host+"/keys")
		},
		"keys without TLS elsewhere": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			configuration(w, i.URL, "http://keys.test/keys")
		},
		"a file": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			configuration(w, i.URL, "file:///etc/passwd")
		},
		"an error": func(_ *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		},
		"no JSON": func(_ *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"too much": func(_ *oidctest.Issuer, w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, maxDiscovery+1))
		},
		"an answer without an end": endless,
		"names of another case": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(`{"Issuer":"x","JWKS_URI":"y"}`))
		},
		"no address of its keys": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) { configuration(w, i.URL, "") },
		"keys at another's user": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			configuration(w, i.URL, "http://a:b@"+r.Host+"/keys")
		},
		"an address that is no text": func(i *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(`{"issuer":1,"jwks_uri":2}`))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			i := oidctest.New(t)
			i.Answer(func(w http.ResponseWriter, r *http.Request) { answer(i, w, r) })
			if keys, err := fetch(t.Context(), &Issuer{URL: i.URL, Internal: true}); err == nil {
				t.Errorf("got %d keys", len(keys))
			}
			if i.Fetches("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func configuration(w http.ResponseWriter, issuer, keys string) {
	json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": keys})
}

func endless(_ *oidctest.Issuer, w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte("                ")); err != nil {
			return
		}
	}
}

func TestNothingInsideTheNetworkIsAskedUnlessTheIssuerIsSaidToBeThere(t *testing.T) {
	t.Parallel()
	i := oidctest.New(t)
	if _, err := fetch(t.Context(), &Issuer{URL: i.URL}); err == nil {
		t.Error("a loopback address was asked")
	}
	if i.Fetches("/.well-known/openid-configuration") != 0 {
		t.Error("the request arrived")
	}
	for _, address := range []string{
		"127.0.0.1:443", "[::1]:443", "10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:80", "100.64.0.1:443", "0.0.0.0:443",
		"[fe80::1]:443", "[fc00::1]:443", "[::ffff:10.0.0.1]:443", "[::ffff:169.254.169.254]:80", "[64:ff9b::a00:1]:443", "[2002:a00:1::]:443",
		"224.0.0.1:443", "255.255.255.255:443", "[ff02::1]:443", "[::]:443", "198.18.0.1:443", "192.0.0.8:443", "nonsense",
	} {
		if checkAddress(address, false) == nil {
			t.Errorf("%s would be asked", address)
		}
	}
	for _, address := range []string{"140.82.121.4:443", "[2606:50c0:8000::154]:443"} {
		if err := checkAddress(address, false); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnAddressNeedsTLSExceptOnThisMachine(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://a.test/x": true, "http://127.0.0.1:1/x": true, "http://[::1]/": true, "http://localhost:8080": true,
		"http://a.test": false, "http://127.0.0.1.a.test": false, "ftp://a.test": false, "https://u:p@a.test": false, "https://": false,
		"https://a.test/#x": false, "a.test": false, "http://10.0.0.1/": false,
	} {
		if got := checkURL(address) == nil; got != good {
			t.Errorf("%s: taken %v, want %v", address, got, good)
		}
	}
}
