//! An agent: a loop over a model and tools, every call of which is a step, with tokens that a client
//! reads while the model writes them. A crash costs the running step and nothing before it.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

// ANCHOR: workflow
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Message {
    User(String),
    Assistant(String),
    Tool { name: String, result: String },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    Answer(String),
    UseTool { name: String, argument: String },
}

/// One piece of text. An attempt that is repeated writes its tokens again under another `attempt`, and
/// the reader drops those of the earlier one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    turn: u32,
    attempt: String,
    text: String,
}

#[step(retries = 5, timeout = "2m")]
async fn ask_model(turn: u32, history: &[Message]) -> Result<Reply> {
    let attempt = durable::uuid().await.to_string();
    let reply = model(history);
    let text = match &reply {
        Reply::Answer(text) => text.clone(),
        Reply::UseTool { name, argument } => format!("[{name} {argument}]"),
    };
    // In a real program: for each chunk of the model's response.
    for text in text.split_inclusive(' ') {
        let token = Token { turn, attempt: attempt.clone(), text: text.to_owned() };
        durable::write_stream("tokens", &token).await?;
    }
    Ok(reply)
}

/// A tool. Its error goes back to the model as text, so a failed tool does not end the conversation.
#[step(retries = 2, timeout = "30s")]
async fn use_tool(name: &str, argument: &str) -> Result<String> {
    match name {
        "weather" => Ok(format!("{argument}: 21 degrees")),
        other => Err(Error::msg(format!("there is no tool {other:?}"))),
    }
}

#[workflow(timeout = "30m")]
async fn agent(question: String) -> Result<String> {
    let mut history = vec![Message::User(question)];
    for turn in 1..=10 {
        match ask_model(turn, &history).await? {
            Reply::Answer(answer) => return Ok(answer),
            Reply::UseTool { name, argument } => {
                let result = match use_tool(&name, &argument).await {
                    Ok(result) => result,
                    Err(error) => format!("error: {error}"),
                };
                history.push(Message::Assistant(format!("{name} {argument}")));
                history.push(Message::Tool { name, result });
            }
        }
    }
    Err(Error::msg("the model used tools ten times and gave no answer"))
}
// ANCHOR_END: workflow

/// A stand-in for the model.
fn model(history: &[Message]) -> Reply {
    match history.last() {
        Some(Message::Tool { name, result }) if name == "weather" => Reply::Answer(format!("It is warm: {result}.")),
        Some(Message::Tool { .. }) => Reply::UseTool { name: "weather".into(), argument: "Lyon".into() },
        _ => Reply::UseTool { name: "horoscope".into(), argument: "today".into() },
    }
}

// ANCHOR: reader
/// Shows the text of each turn while it comes. It works in any process, and again from the beginning
/// after the client has reconnected.
async fn follow(workflow: &str) -> Result<Vec<String>> {
    let mut turns: Vec<(String, String)> = Vec::new(); // attempt, text
    let mut tokens = durable::read_stream::<Token>(workflow, "tokens");
    while let Some(token) = tokens.next().await {
        let token = token?;
        turns.resize(token.turn as usize, <(String, String)>::default());
        if let Some((attempt, text)) = turns.last_mut() {
            if *attempt != token.attempt {
                *attempt = token.attempt;
                text.clear();
            }
            text.push_str(&token.text);
        }
    }
    Ok(turns.into_iter().map(|(_, text)| text).collect())
}
// ANCHOR_END: reader

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("agent").system_database(database).launch().await?;

    let handle = agent("Is it warm in Lyon?".into()).id("chat-1").start().await?;
    let turns = follow("chat-1").await?;
    assert_eq!(turns, ["[horoscope today]", "[weather Lyon]", "It is warm: Lyon: 21 degrees."]);
    assert_eq!(handle.await?, "It is warm: Lyon: 21 degrees.");

    let steps = app.list_steps("chat-1").await?;
    let names: Vec<_> = steps.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["ask_model", "use_tool", "ask_model", "use_tool", "ask_model"]);

    app.shutdown().await;
    Ok(())
}
