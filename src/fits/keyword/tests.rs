//! Tests of keyword names and classes.

use crate::fits::keyword::{Keyword, KeywordClass, KeywordFault};

#[test]
fn names_are_checked_against_the_standard() {
    #[track_caller]
    fn check(keyword: &Keyword, expected: Result<(), KeywordFault>) {
        assert_eq!(keyword.validate(), expected, "{keyword}");
    }
    check(&Keyword::value("EXPTIME"), Ok(()));
    check(&Keyword::value("DATE-OBS"), Ok(()));
    check(&Keyword::value(""), Err(KeywordFault::Empty));
    check(&Keyword::value("EXPOSURES"), Err(KeywordFault::TooLong { length: 9, limit: 8 }));
    check(&Keyword::value("Exptime"), Err(KeywordFault::LowerCase { character: 'x' }));
    check(&Keyword::value("EXP TIME"), Err(KeywordFault::BadCharacter { character: ' ' }));
    check(&Keyword::value("EXPÉ"), Err(KeywordFault::BadCharacter { character: 'É' }));
    check(&Keyword::value("COMMENT"), Err(KeywordFault::WrongKind { name: "COMMENT".into() }));
    check(&Keyword::value("END"), Err(KeywordFault::WrongKind { name: "END".into() }));
    check(&Keyword::eso("INS1 FILT1 ID"), Ok(()));
    check(&Keyword::eso("A".repeat(63)), Ok(()));
    check(&Keyword::eso("A".repeat(64)), Err(KeywordFault::TooLong { length: 64, limit: 63 }));
    check(&Keyword::eso("TPL  ID"), Err(KeywordFault::Spacing));
    check(&Keyword::eso(" TPL"), Err(KeywordFault::Spacing));
    check(&Keyword::eso("TPL="), Err(KeywordFault::BadCharacter { character: '=' }));
    check(&Keyword::hierarch("LSST CAM.NAME"), Ok(()));
    check(&Keyword::hierarch("ESO TPL"), Err(KeywordFault::WrongKind { name: "ESO TPL".into() }));
    check(&Keyword::commentary(""), Ok(()));
    check(&Keyword::commentary("HISTORY"), Ok(()));
}

#[test]
fn classes_follow_the_table() {
    fn check(class: KeywordClass, names: &str) {
        for name in names.split_whitespace() {
            assert_eq!(Keyword::value(name).class(), class, "{name}");
        }
    }
    check(
        KeywordClass::Structural,
        "SIMPLE XTENSION BITPIX NAXIS NAXIS1 NAXIS999 PCOUNT GCOUNT GROUPS TFIELDS TFORM TFORM12 TBCOL3 END CONTINUE",
    );
    check(
        KeywordClass::Core,
        "BSCALE BZERO BUNIT BLANK DATAMIN DATAMAX EXTEND INHERIT EXTNAME EXTVER EXTLEVEL CHECKSUM DATASUM DATE ORIGFILE
         ARCFILE BLOCKED A_ORDER AP_DMAX B_0_2 BP_10_0 TLMIN1 TDMAX12 CZPHS1A CPERI2 ZHECKSUM ZDATASUM WCSAXES WCSAXESA CTYPE1 CTYPE2B CRPIX1 CRVAL1 CDELT1 CUNIT1 CROTA2 PC1_1 PC1_2A
         CD2_1 PV2_0 PV1_12C PS1_0 LONPOLE LATPOLEA SPECSYS RADESYSA EQUINOXA TTYPE1 TUNIT1 TNULL1 TSCAL1 TZERO1 TDISP1
         TDIM1 THEAP PTYPE1 PSCAL1 PZERO1",
    );
    check(
        KeywordClass::User,
        "EXPTIME RA DEC EQUINOX RADESYS MJD-OBS DATE-OBS NAXIS0 NAXIS01 NAXISX CTYPE CTYPEA PC1 PC0_1 PCX_1 CD1_ CDELTAS
         OBJECT PSF TFORMX LONPOLE1",
    );
    assert_eq!(Keyword::eso("NAXIS1").class(), KeywordClass::User);
    assert_eq!(Keyword::commentary("HISTORY").class(), KeywordClass::User);
    assert_eq!(Keyword::commentary("CONTINUE").class(), KeywordClass::Structural);
}
