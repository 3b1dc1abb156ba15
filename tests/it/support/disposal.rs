//! Disposal receipts as whoever got one checks it: with the published keys, and nothing else of the server.

use idgate::flows::App;
use idgate::server::proto::DisposalReceipt;
use idgate::tokens::disposal::{self, Claims, Opening};
use idgate::tokens::keys::VerifyingKey;
use prost::Message as _;
use tonic::Status;

/// What a receipt says; it must be signed, for this relying party, and of this picture.
pub fn claims_of(app: &App, party: &str, picture: &[u8], receipt: &DisposalReceipt) -> Claims {
    let keys = VerifyingKey::from_jwks(app.jwks().as_bytes()).unwrap();
    let claims = disposal::open(&receipt.token, &keys).unwrap();
    let opening = Opening::from_bytes(&receipt.opening).unwrap();
    assert!(claims.is_of(picture, &opening), "a receipt of another picture");
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("idgate", party));
    claims
}

/// The receipt among the details of a status.
pub fn receipt_in(status: &Status) -> Option<DisposalReceipt> {
    let details = tonic_types::pb::Status::decode(status.details()).ok()?.details;
    let mut all = details.into_iter().filter(|any| any.type_url.ends_with("/idgate.v1.DisposalReceipt"));
    let one = all.next().map(|any| DisposalReceipt::decode(any.value.as_slice()).unwrap());
    assert!(all.next().is_none(), "one picture, one receipt");
    one
}
