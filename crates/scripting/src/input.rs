//! The arguments of EVAL, EVALSHA, FCALL and their read-only forms: `name what numkeys key … argument …`.

use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

/// The keys and arguments of a run.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    args: Args<'a>,
    keys: usize,
}

/// Where the keys begin.
const FIRST: usize = 3;

impl<'a> Input<'a> {
    /// Those of EVAL and EVALSHA.
    ///
    /// # Errors
    /// The number of keys is none, or there are fewer arguments.
    pub fn of_script(args: Args<'a>) -> Result<Input<'a>, Fail> {
        Input::parse(args, "ERR value is not an integer or out of range")
    }

    /// Those of FCALL. Look the function up first: a wrong name is told before a wrong number.
    ///
    /// # Errors
    /// As [`Input::of_script`].
    pub fn of_function(args: Args<'a>) -> Result<Input<'a>, Fail> {
        Input::parse(args, "ERR Bad number of keys provided")
    }

    fn parse(args: Args<'a>, not_a_number: &'static str) -> Result<Input<'a>, Fail> {
        let number = args.get(FIRST - 1).and_then(|n| rivulet_commands::parse::int(n).ok());
        let given = args.len().saturating_sub(FIRST) as i64;
        match number {
            None => Err(Fail::new(not_a_number)),
            Some(n) if n > given => Err(Fail::new("ERR Number of keys can't be greater than number of args")),
            Some(n) if n < 0 => Err(Fail::new("ERR Number of keys can't be negative")),
            Some(n) => Ok(Input { args, keys: n as usize }),
        }
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.args.from(FIRST).iter().take(self.keys)
    }

    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.args.from(FIRST + self.keys).iter()
    }
}

#[cfg(test)]
mod tests {
    use rivulet_resp::OwnedArgs;

    use super::*;

    #[test]
    fn keys_come_before_arguments() {
        let args = OwnedArgs::from_slices(&["EVAL", "x", "1", "k", "a", "b"]);
        let input = Input::of_script(args.as_args()).expect("it is right");
        assert_eq!(input.keys().collect::<Vec<_>>(), [b"k"]);
        assert_eq!(input.arguments().collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn wrong_numbers_of_keys() {
        for (number, error) in [
            ("a", "ERR value is not an integer or out of range"),
            ("", "ERR value is not an integer or out of range"),
            ("-1", "ERR Number of keys can't be negative"),
            ("2", "ERR Number of keys can't be greater than number of args"),
            ("9223372036854775807", "ERR Number of keys can't be greater than number of args"),
        ] {
            let args = OwnedArgs::from_slices(&["EVAL", "x", number, "k"]);
            assert_eq!(Input::of_script(args.as_args()).err(), Some(Fail::text(error.into())), "{number}");
        }
        let args = OwnedArgs::from_slices(&["FCALL", "x", "y"]);
        let error = Input::of_function(args.as_args()).err();
        assert_eq!(error, Some(Fail::new("ERR Bad number of keys provided")));
    }
}
