package authztest

import "encoding/json"

// signingKey is a public key that nobody has the private one of.
const signingKey = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEXgvhABYJKwYBBAHaRw8BAQdAD818JN6ea8x3yFxlxq7jiFN1PtOQImh/z1Pn
B6e8l8W0JUFjbWUgUmVsZWFzZXMgPHJlbGVhc2VzQGFjbWUuZXhhbXBsZT6IkAQT
FggAOBYhBBu72dfqF/zqanknrLKu5oJXdh5vBQJeC+EAAhsDBQsJCAcCBhUKCQgL
AgQWAgMBAh4BAheAAAoJELKu5oJXdh5v4zcBAI2eH2ctpzguQicX/qNWsIspZTth
2isT8+TkmZJdkUg8AQDcorbc1CYyTWsx9b4YPs5TGQd1uhsCqrVjb0Zin0OpAQ==
=YIw4
-----END PGP PUBLIC KEY BLOCK-----
`

// signingKeyBody pins it.
func signingKeyBody() string {
	raw, _ := json.Marshal(map[string]string{"public": signingKey}) // strings can be encoded
	return string(raw)
}
