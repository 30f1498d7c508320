package api

import "testing"

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`[{"token": "hm_x", "type": "hullmark", "url": "https://x", "source": "content"}]`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"token": 1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := parseReport(body)
		if err != nil && found != nil {
			t.Errorf("%d secrets and %v", len(found), err)
		}
		if len(found) > maxSecrets {
			t.Errorf("%d secrets", len(found))
		}
	})
}
