//! Tokens to statements and blocks; `include` is resolved here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::{Fault, Mistake};
use crate::lexer::{Lexer, Token};
use crate::position::Position;
use crate::source::{Source, Sources};
use crate::statement::{Block, Statement};
use crate::word::Word;

/// How deep blocks may be nested, all including files taken together. Nobody needs more than five.
const MAX_BLOCKS: usize = 128;

/// How deep files may include one another.
const MAX_INCLUDES: usize = 64;

/// How many times files may be included altogether.
const MAX_FILES: usize = 100_000;

/// Parses the file `path` and all that it includes. Relative names in it are relative to its directory.
pub fn parse_file(path: &Path, sources: &mut Sources) -> Block {
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut parser = Parser { base, sources, included: 0 };
    match parser.sources.read(path) {
        Ok(source) => parser.file(&source, Depth::default()),
        Err(mistake) => Block { statements: Vec::new(), end: Err(Fault::nowhere(mistake)) },
    }
}

/// Parses the text of option `-g`. Relative names in it are relative to `base`, the main file's directory.
pub fn parse_text(text: &[u8], base: &Path, sources: &mut Sources) -> Block {
    let mut parser = Parser { base: base.to_owned(), sources, included: 0 };
    parser.block(&mut Text { lexer: Lexer::new(text), path: None, blocks: 0 }, Depth::default())
}

struct Parser<'s> {
    /// What relative names are relative to.
    base: PathBuf,
    sources: &'s mut Sources,
    /// How many files have been included.
    included: usize,
}

impl Parser<'_> {
    fn file(&mut self, source: &Source, depth: Depth) -> Block {
        let path = Some(Arc::clone(&source.path));
        self.block(&mut Text { lexer: Lexer::new(&source.contents), path, blocks: 0 }, depth)
    }

    fn block(&mut self, text: &mut Text<'_>, depth: Depth) -> Block {
        let mut statements = Vec::new();
        let end = self.statements(text, depth, &mut statements);
        Block { statements, end }
    }

    fn statements(
        &mut self,
        text: &mut Text<'_>,
        depth: Depth,
        statements: &mut Vec<Statement>,
    ) -> Result<Position, Fault> {
        loop {
            match text.next()? {
                Next::End(at) => return Ok(at),
                Next::Simple(statement) if statement.name == "include" => {
                    self.include(&statement, depth, statements)?;
                }
                Next::Simple(statement) => statements.push(statement),
                Next::Open(statement) if statement.name == "include" => {
                    return Err(Fault::at(Mistake::NotTerminated(statement.name), &statement.at));
                }
                Next::Open(mut statement) => {
                    let body = self.body(text, depth, &statement.at);
                    let complete = body.is_complete();
                    statement.body = Some(body);
                    statements.push(statement);
                    complete?;
                }
            }
        }
    }

    /// Reads the block that was opened at `at`.
    fn body(&mut self, text: &mut Text<'_>, depth: Depth, at: &Position) -> Block {
        if depth.blocks == MAX_BLOCKS {
            let mistake = Mistake::NestedTooDeep { limit: MAX_BLOCKS };
            return Block { statements: Vec::new(), end: Err(Fault::at(mistake, at)) };
        }
        text.blocks += 1;
        let body = self.block(text, Depth { blocks: depth.blocks + 1, ..depth });
        text.blocks -= 1;
        body
    }

    /// Puts the statements of the files that `include` names in its place.
    fn include(
        &mut self,
        include: &Statement,
        depth: Depth,
        statements: &mut Vec<Statement>,
    ) -> Result<(), Fault> {
        let [name] = include.args.as_slice() else {
            return Err(Fault::at(Mistake::ArgumentCount(include.name.clone()), &include.at));
        };
        for path in self.sources.matching(name, &self.base) {
            let source = self.open_include(&path, depth).map_err(|mistake| match mistake {
                // The originals find out too late to know the line.
                Mistake::Read { .. } => Fault::nowhere(mistake),
                _ => Fault::at(mistake, &include.at),
            })?;
            let block = self.file(&source, Depth { includes: depth.includes + 1, ..depth });
            statements.extend(block.statements);
            block.end?;
        }
        Ok(())
    }

    fn open_include(&mut self, path: &Path, depth: Depth) -> Result<Source, Mistake> {
        self.included += 1;
        if depth.includes == MAX_INCLUDES {
            return Err(Mistake::IncludedTooDeep { path: path.into(), limit: MAX_INCLUDES });
        }
        if self.included > MAX_FILES {
            return Err(Mistake::TooManyIncludes { path: path.into(), limit: MAX_FILES });
        }
        self.sources.read(path)
    }
}

/// How deep the parser stands; bounds its recursion.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    blocks: usize,
    includes: usize,
}

/// A text on its way to statements.
struct Text<'t> {
    lexer: Lexer<'t>,
    /// The file; `None` for the text of `-g`.
    path: Option<Arc<Path>>,
    /// Blocks of this text that are open.
    blocks: usize,
}

/// What comes next in a text.
enum Next {
    /// A statement with its `;`.
    Simple(Statement),
    /// A statement up to its `{`.
    Open(Statement),
    /// The end of the block, or of the text if no block is open.
    End(Position),
}

impl Text<'_> {
    fn next(&mut self) -> Result<Next, Fault> {
        let mut words = Vec::new();
        loop {
            match self.token()? {
                Token::Word(word) => words.push(word),
                Token::Semicolon => return Ok(Next::Simple(self.statement(words, ";")?)),
                Token::Open if self.path.is_none() => return Err(self.fault(Mistake::BlockInParameter)),
                Token::Open => return Ok(Next::Open(self.statement(words, "{")?)),
                Token::Close if self.blocks > 0 && words.is_empty() => return Ok(Next::End(self.position())),
                Token::Close => return Err(self.fault(Mistake::Unexpected("}".into()))),
                Token::End if self.blocks == 0 && words.is_empty() => return Ok(Next::End(self.position())),
                Token::End if words.is_empty() => return Err(self.fault(Mistake::EndInBlock)),
                Token::End | Token::Broken if self.path.is_none() => {
                    return Err(self.fault(Mistake::EndOfParameter));
                }
                Token::End | Token::Broken => return Err(self.fault(Mistake::EndInStatement)),
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        self.lexer.token().map_err(|mistake| self.fault(mistake))
    }

    fn statement(&self, words: Vec<Word>, end: &str) -> Result<Statement, Fault> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            return Err(self.fault(Mistake::Unexpected(end.into())));
        };
        Ok(Statement { name, args: words.collect(), at: self.position(), body: None })
    }

    fn fault(&self, mistake: Mistake) -> Fault {
        Fault::at(mistake, &self.position())
    }

    fn position(&self) -> Position {
        match &self.path {
            Some(path) => Position::File { path: Arc::clone(path), line: self.lexer.line() },
            None => Position::CommandLine,
        }
    }
}

#[cfg(test)]
#[path = "parser/tests.rs"]
mod tests;
