//! The rules that a file is judged by: a name, the section of FITS Standard 4.0, how grave a breach is.
//!
//! Says nothing about how a rule is tested; the name is stable, because programs read it.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file breaks the Standard.
    Fault,
    /// Legal, but deprecated, or probably not what was meant.
    Warning,
    /// More than dpm is ready to read: the rest is not judged, and may be legal.
    Limit,
}

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, such as `keyword-name`; never changes.
    pub name: &'static str,
    /// Section of FITS Standard 4.0 that it comes from; empty for a limit of dpm's own.
    pub section: &'static str,
    /// How grave a breach is.
    pub severity: Severity,
    /// The rule in words.
    pub meaning: &'static str,
}

macro_rules! rules {
    ($($constant:ident $severity:ident $section:literal $name:literal $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $constant: Rule =
                Rule { name: $name, section: $section, severity: Severity::$severity, meaning: $meaning };
        )*
        /// Every rule, in order of what it concerns: file, cards, mandatory keywords, reserved ones, tables, data.
        pub static ALL: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    NOT_FITS Fault "4.4.1.1" "not-fits" "a file starts with SIMPLE";
    CUT_OFF Fault "3.1" "cut-off" "header and data unit are whole";
    FILE_LENGTH Fault "3.1" "file-length" "a file is a multiple of 2880 bytes";
    SPECIAL_RECORDS Fault "3.5" "special-records" "nothing follows the last HDU: special records are for old files only";
    LIMIT Limit "" "limit" "a file stays within what dpm is ready to read";

    MISSING_END Fault "4.4.1.1" "missing-end" "END ends a header";
    END_CARD Fault "4.4.1.1" "end-card" "END stands alone on its card";
    HEADER_PADDING Fault "3.3.1" "header-padding" "spaces fill a header behind END";
    CARD_TEXT Fault "4.1.1" "card-text" "a header has the characters 32 to 126 of ASCII only";
    KEYWORD_NAME Fault "4.1.2.1" "keyword-name" "a keyword has capitals, digits, '-' and '_' only, from column 1 on";
    VALUE_INDICATOR Fault "4.1.2.2" "value-indicator" "'=' in column 9 is followed by a space";
    VALUE_SYNTAX Fault "4.2" "value-syntax" "a value is a string, a logical, a number, a pair of numbers, or nothing";
    EXPONENT_LETTER Fault "4.2.4" "exponent-letter" "an exponent is written with E or D";
    ORPHAN_CONTINUE Warning "4.2.1.2" "orphan-continue" "CONTINUE follows a string that ends with '&'";
    HIERARCH_SYNTAX Warning "4.4.3" "hierarch-syntax" "a HIERARCH card follows ESO's convention";
    DUPLICATE_KEYWORD Warning "4.4" "duplicate-keyword" "a keyword with a value stands once in a header";

    MANDATORY_MISSING Fault "4.4.1" "mandatory-missing" "the mandatory keywords are there";
    MANDATORY_ORDER Fault "4.4.1" "mandatory-order" "the mandatory keywords stand in their order";
    MANDATORY_VALUE Fault "4.4.1" "mandatory-value" "a mandatory keyword has a legal value";
    MANDATORY_TWICE Fault "4.4.1" "mandatory-twice" "a mandatory keyword stands once";
    FIXED_FORMAT Fault "4.2" "fixed-format" "a mandatory keyword has its value in fixed format";
    XTENSION_PADDING Fault "4.2.1.1" "xtension-padding" "the value of XTENSION has at least eight characters";
    NOT_CONFORMING Fault "4.4.1.1" "not-conforming" "SIMPLE is T";
    MISPLACED_MANDATORY Fault "4.4.1" "misplaced-mandatory" "SIMPLE is for primary headers, XTENSION for extensions";
    AXIS_INDEX Fault "4.4.1.1" "axis-index" "there is no NAXISn with n above NAXIS";
    PRIMARY_COUNTS Warning "4.4.1.1" "primary-counts" "a primary array has no PCOUNT and GCOUNT";
    UNREADABLE_SIZE Fault "4.4.1" "unreadable-size" "the mandatory keywords tell the size of the data unit";
    FOREIGN_EXTENSION Warning "3.4.2" "foreign-extension" "an extension's type is registered";
    IMAGE_VALUES Fault "7.1.1" "image-values" "an IMAGE has PCOUNT = 0 and GCOUNT = 1";
    TABLE_VALUES Fault "7.2.1" "table-values" "a TABLE has BITPIX = 8, NAXIS = 2, PCOUNT = 0 and GCOUNT = 1";
    BINTABLE_VALUES Fault "7.3.1" "bintable-values" "a BINTABLE has BITPIX = 8, NAXIS = 2 and GCOUNT = 1";
    GROUPS_VALUES Fault "6.1.1" "groups-values" "random groups have NAXIS1 = 0, GROUPS = T, PCOUNT and GCOUNT";
    RANDOM_GROUPS Warning "6" "random-groups" "random groups are deprecated";

    RESERVED_TYPE Fault "4.4.2" "reserved-type" "a reserved keyword has a value of its type";
    UNDEFINED_VALUE Warning "4.1.2.3" "undefined-value" "a reserved keyword has a value";
    DATE_FORMAT Fault "4.2.7" "date-format" "a date is written YYYY-MM-DD or YYYY-MM-DDThh:mm:ss.s";
    OLD_DATE Warning "4.4.2.1" "old-date" "the form DD/MM/YY is for dates before 2000";
    EXTEND_PLACE Fault "4.4.2.1" "extend-place" "EXTEND stands in the primary header only";
    EXTEND_FALSE Fault "4.4.2.1" "extend-false" "a file with extensions does not say EXTEND = F";
    INHERIT_PLACE Fault "4.4.2.6" "inherit-place" "INHERIT stands in extensions only";
    DEPRECATED_KEYWORD Warning "4.4.2" "deprecated-keyword" "BLOCKED, EPOCH and RADECSYS are deprecated";
    BLANK_OF_REALS Fault "4.4.2.5" "blank-of-reals" "BLANK is for integer arrays";
    SCALE_OF_ZERO Warning "4.4.2.5" "scale-of-zero" "a scale is not zero";
    ARRAY_KEYWORD Fault "4.4.2.5" "array-keyword" "a table has no BSCALE, BZERO, BUNIT, BLANK, DATAMAX, DATAMIN";
    TABLE_KEYWORD Fault "7.3.2" "table-keyword" "only a table has keywords of columns";
    DUPLICATE_EXTENSION Warning "4.4.2.6" "duplicate-extension" "EXTNAME, EXTVER and EXTLEVEL tell extensions of a type apart";
    DEPRECATED_UNIT Warning "4.3" "deprecated-unit" "the units erg, Angstrom, G and barn are deprecated";
    GROUP_PARAMETER Fault "6.1.2" "group-parameter" "PTYPEn, PSCALn and PZEROn have an n from 1 to PCOUNT";

    WCSAXES_ORDER Fault "8.2" "wcsaxes-order" "WCSAXES stands before the other keywords of world coordinates";
    WCS_INDEX Fault "8.2" "wcs-index" "no axis of world coordinates is above WCSAXES";
    WCS_MIXED Fault "8.1" "wcs-mixed" "PCi_j is used neither with CDi_j nor with CROTAi";

    COLUMN_INDEX Fault "7.3.2" "column-index" "the index of a column's keyword is from 1 to TFIELDS";
    COLUMN_FORMAT Fault "7.3.1" "column-format" "each column has a legal TFORMn";
    ROW_LENGTH Fault "7.3.1" "row-length" "NAXIS1 is the sum of the columns' widths";
    COLUMN_START Fault "7.2.1" "column-start" "each column of a TABLE has a TBCOLn, and lies within the row";
    COLUMN_NAME Warning "7.3.2" "column-name" "each column has a name of letters, digits and '_', unlike the others";
    COLUMN_NULL Fault "7.3.2" "column-null" "TNULLn is an integer of an integer column (of a TABLE, a string)";
    COLUMN_SCALE Fault "7.3.2" "column-scale" "TSCALn and TZEROn are for columns of numbers";
    COLUMN_DISPLAY Fault "7.3.2" "column-display" "TDISPn is a display format that fits the column";
    COLUMN_DIMENSIONS Fault "7.3.2" "column-dimensions" "TDIMn is a list of lengths that the column has room for";
    HEAP_OFFSET Fault "7.3.2" "heap-offset" "THEAP lies behind the rows, within the data unit";
    DESCRIPTOR_REPEAT Fault "7.3.5" "descriptor-repeat" "a column of descriptors has at most one in a row";
    HEAP_MISSING Warning "7.3.5" "heap-missing" "PCOUNT above 0 goes with columns of descriptors";

    COMPRESSED_IMAGE Fault "10.1.1" "compressed-image" "a compressed image has ZCMPTYPE, ZBITPIX, ZNAXIS and ZNAXISn";
    COMPRESSED_OPTION Fault "10.1.2" "compressed-option" "optional keywords of a compressed image are legal";
    COMPRESSED_COLUMN Fault "10.1.3" "compressed-column" "a compressed image has a column COMPRESSED_DATA and a row for each tile";
    COMPRESSED_TABLE Fault "10.3.1" "compressed-table" "a compressed table has ZNAXISn, ZPCOUNT, ZFORMn and ZCTYPn";

    DATA_PADDING Fault "3.3.2" "data-padding" "zeros fill the last block of a data unit";
    MISSING_PADDING Fault "3.3.2" "missing-padding" "the last data unit fills its last block";
    TABLE_PADDING Fault "7.2.3" "table-padding" "spaces fill the last block of a TABLE";
    TABLE_TEXT Fault "7.2.3" "table-text" "a TABLE has the characters 32 to 126 of ASCII only";
    TABLE_ENTRY Fault "7.2.5" "table-entry" "an entry of a TABLE is written as its TFORMn says";
    LOGICAL_ENTRY Fault "7.3.3.1" "logical-entry" "a logical entry is T, F or 0";
    CHARACTER_ENTRY Fault "7.3.3.1" "character-entry" "a character entry has the characters 32 to 126 of ASCII up to its first NUL";
    DESCRIPTOR_BOUNDS Fault "7.3.5" "descriptor-bounds" "an array in the heap lies within the heap";
    DESCRIPTOR_MAXIMUM Fault "7.3.5" "descriptor-maximum" "no array is longer than TFORMn says";
    LONG_ROW Warning "" "long-row" "a row is short enough to be looked at";
    SUM_FORM Fault "4.4.2.7" "sum-form" "CHECKSUM is a string of 16 letters and digits, DATASUM a string with an integer";
    DATASUM Fault "4.4.2.7" "datasum" "DATASUM is the sum of the data unit";
    CHECKSUM Fault "4.4.2.7" "checksum" "an HDU with CHECKSUM sums to minus zero";
}
