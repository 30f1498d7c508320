// node holds.cjs BUNDLE FILE: whether a Sigstore bundle, or an attestation of PEP 740, holds for a file. It is checked by
// the Sigstore client that npm brings along, under the root that npm trusts, and prints who signed it.
const { readFileSync, realpathSync } = require('fs')
const { execFileSync } = require('child_process')
const { createHash } = require('crypto')
const npm = execFileSync('npm', ['root', '-g'], { encoding: 'utf8' }).trim() + '/npm'
const sigstore = require(realpathSync(npm) + '/node_modules/sigstore')

let bundle = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const file = readFileSync(process.argv[3])
if (bundle.verification_material) {
  bundle = {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: bundle.verification_material.certificate },
      tlogEntries: bundle.verification_material.transparency_entries,
    },
    dsseEnvelope: {
      payload: bundle.envelope.statement,
      payloadType: 'application/vnd.in-toto+json',
      signatures: [{ keyid: '', sig: bundle.envelope.signature }],
    },
  }
}
if (bundle.dsseEnvelope) {
  const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64'))
  const sum = createHash('sha256').update(file).digest('hex')
  if (statement.subject[0].digest.sha256 !== sum) throw new Error('the statement is about another file')
}
const verified = bundle.dsseEnvelope ? sigstore.verify(bundle) : sigstore.verify(bundle, file)
verified.then((signer) => console.log('holds: ' + signer.identity.subjectAlternativeName))
